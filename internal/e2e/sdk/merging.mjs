// Merges and notes.
import assert from 'node:assert/strict';
import { author, commit, repository, text, tip } from './lib.mjs';

export default {
  async 'merges: each strategy'() {
    const { repo, first, work } = await repository('merges');
    const merge = (more) => repo.merge({ sourceBranch: 'work', targetBranch: 'main', commitMessage: 'Merge', author, ...more });
    const ahead = await merge({ strategy: 'ff_only' });
    assert.deepEqual([ahead.result, ahead.commitSha, ahead.target.oldSha, ahead.promotedCommits], ['fast_forward', work, first, 1]);
    assert.equal((await merge({ strategy: 'ff_prefer' })).result, 'no_op');
    const side = await commit(repo, 'side', 'Side', { side: 's' }, { baseBranch: 'main' });
    const made = await merge({ sourceBranch: 'side', strategy: 'merge', expectedTargetSha: work });
    assert.equal(made.result, 'merge_commit');
    assert.deepEqual((await repo.getCommit({ sha: made.commitSha })).commit.parentShas, [work, side.commitSha]);
    await commit(repo, 'main', 'Apart', { apart: 'a' });
    await commit(repo, 'side', 'More', { more: 'm' });
    await assert.rejects(merge({ sourceBranch: 'side', strategy: 'ff_only' }), { name: 'ApiError', status: 409 });
    const squashed = await merge({ sourceBranch: 'side', strategy: 'merge', squash: true });
    assert.equal(squashed.result, 'squash');
    assert.equal((await repo.getCommit({ sha: squashed.commitSha })).commit.parentShas.length, 1);
    await assert.rejects(merge({ strategy: 'ff_only', squash: true }), /incompatible/); // by the SDK itself
    await assert.rejects(merge({ sourceBranch: 'none', strategy: 'merge' }), { status: 404 });
    const session = await commit(repo, 'session', 'Session', { session: 's' }, { ephemeral: true, baseBranch: 'main' });
    const promoted = await merge({ sourceBranch: 'session', sourceIsEphemeral: true, strategy: 'ff_prefer' });
    assert.deepEqual([promoted.target.newSha, promoted.source.ephemeral], [session.commitSha, true]);
  },

  async 'conflicts: previewed, refused with the paths, guarded'() {
    const { repo } = await repository('conflicts');
    assert.deepEqual([(await repo.previewMerge({ sourceBranch: 'work', targetBranch: 'main' })).status], ['clean']);
    const ours = await commit(repo, 'main', 'Ours', { 'README.md': 'hello\nthere\n' });
    const preview = await repo.previewMerge({ sourceBranch: 'work', targetBranch: 'main', includeContent: true });
    assert.deepEqual([preview.status, preview.conflictPaths, preview.targetTipSha], ['conflicted', ['README.md'], ours.commitSha]);
    const [conflict] = preview.conflicts;
    assert.match(conflict.result.content, /<<<<<<<[^]*there[^]*=======[^]*world[^]*>>>>>>>/);
    assert.deepEqual([conflict.ours.content, conflict.theirs.content, conflict.base.content], ['hello\nthere\n', 'hello\nworld\n', 'hello\n']);
    const merge = { sourceBranch: 'work', targetBranch: 'main', strategy: 'merge', commitMessage: 'Merge', author };
    await assert.rejects(repo.merge(merge), (e) => {
      assert.deepEqual([e.name, e.status, e.body.conflict_type, e.body.conflict_paths], ['ApiError', 409, 'merge_conflict', ['README.md']]);
      return true;
    });
    await assert.rejects(repo.merge({ ...merge, expectedTargetSha: '1'.repeat(40) }), (e) => e.status === 409 && e.body.conflict_type === 'target_moved');
    assert.equal(await tip(repo), ours.commitSha);
    assert.equal(await text(repo, 'README.md'), 'hello\nthere\n');
    await assert.rejects(repo.previewMerge({ sourceBranch: 'none', targetBranch: 'main' }), { status: 404 });
  },

  async 'notes'() {
    const { repo, first } = await repository('notes');
    const made = await repo.createNote({ sha: first, note: 'good', author });
    assert.deepEqual([made.targetRef, made.baseCommit, made.result.success], ['refs/notes/commits', undefined, true]);
    await assert.rejects(repo.createNote({ sha: first, note: 'again' }), (e) => e.reason === 'conflict' || e.status === 409);
    const more = await repo.appendNote({ sha: first, note: 'more', expectedRefSha: made.newRefSha });
    assert.equal(more.baseCommit, made.newRefSha);
    const read = await repo.getNote({ sha: first });
    assert.match(read.note, /^good\n[^]*more/);
    assert.equal(read.refSha, more.newRefSha);
    await repo.createNote({ sha: first, note: 'reviewed', ref: 'reviews/a' });
    assert.equal((await repo.getNote({ sha: first, ref: 'refs/notes/reviews/a' })).note.trim(), 'reviewed');
    const refs = await repo.listNotesRefs({ prefix: 'reviews/' });
    assert.deepEqual([refs.refs.map((r) => r.ref), refs.prefix, refs.hasMore], [['refs/notes/reviews/a'], 'refs/notes/reviews/', false]);
    assert.equal((await repo.listNotesRefs()).refs.length, 2);
    await assert.rejects(repo.deleteNote({ sha: first, expectedRefSha: made.newRefSha }), (e) => e.reason === 'precondition_failed' || e.status === 409);
    assert.equal((await repo.deleteNote({ sha: first })).sha, first);
    await assert.rejects(repo.getNote({ sha: first }), { status: 404 });
    await assert.rejects(repo.deleteNote({ sha: first }), (e) => e.reason === 'not_found' || e.status === 404);
  },
};
