// Commits over HTTP, and what is refused.
import assert from 'node:assert/strict';
import { author, commit, repository, storage, text, tip, zeros } from './lib.mjs';

const bytesOf = (n) => new Uint8Array(n).map((_, i) => (i * 31) >> 3);

async function sameBytes(repo, path, want) {
  const got = Buffer.from(await (await repo.getFileStream({ path })).arrayBuffer());
  assert.ok(got.equals(Buffer.from(want)), `${path} came back changed: ${got.length} bytes for ${want.length}`);
}

export default {
  async 'commit and read back'() {
    const repo = await storage.createRepo({ id: 'commits' });
    const first = await repo
      .createCommit({ targetBranch: 'main', commitMessage: 'First', author, committer: { name: 'Bob', email: 'bob@example.com' } })
      .addFileFromString('docs/a.txt', 'hello\n')
      .addFileFromString('run.sh', '#!/bin/sh\n', { mode: '100755' })
      .addFile('empty', new Uint8Array())
      .addFileFromString('naïve file.txt', 'é', {})
      .addFileFromString('link', 'docs/a.txt', { mode: '120000' })
      .send();
    assert.equal(first.refUpdate.oldSha, zeros);
    assert.equal(first.refUpdate.newSha, first.commitSha);
    assert.equal(first.targetBranch, 'main');
    assert.equal(first.blobCount, 5);
    assert.ok(first.packBytes > 0);
    const files = await repo.listFiles();
    assert.deepEqual(files.entries.map((e) => [e.path, e.mode]), [
      ['docs/a.txt', '100644'], ['empty', '100644'], ['link', '120000'], ['naïve file.txt', '100644'], ['run.sh', '100755'],
    ]);
    assert.equal(await text(repo, 'naïve file.txt'), 'é');
    const { commit: read } = await repo.getCommit({ sha: first.commitSha });
    assert.deepEqual([read.message, read.authorEmail, read.committerName, read.parentShas], ['First', author.email, 'Bob', []]);
    const second = await repo
      .createCommit({ targetBranch: 'main', commitMessage: 'Second', author, expectedHeadSha: first.commitSha })
      .deletePath('docs').deletePath('empty').send();
    assert.equal(second.refUpdate.oldSha, first.commitSha);
    assert.deepEqual((await repo.listFiles()).paths, ['naïve file.txt', 'run.sh']); // files alone, no link
  },

  async 'contents of every size and every source keep their bytes'() {
    const repo = await storage.createRepo({ id: 'bytes' });
    const chunk = 4 << 20;
    const sizes = [1, chunk - 1, chunk, chunk + 1, 2 * chunk + 7];
    const builder = repo.createCommit({ targetBranch: 'main', commitMessage: 'Large', author });
    for (const n of sizes) builder.addFile(`array-${n}`, bytesOf(n));
    async function* pieces() {
      for (let i = 0; i < 9; i++) yield bytesOf(700_001);
    }
    builder.addFile('generator', pieces());
    builder.addFile('blob', new Blob([bytesOf(100), bytesOf(200)]));
    builder.addFile('stream', new Response(bytesOf(5_000_000)).body);
    const made = await builder.send();
    assert.equal(made.blobCount, sizes.length + 3);
    for (const n of sizes) await sameBytes(repo, `array-${n}`, bytesOf(n));
    await sameBytes(repo, 'generator', Buffer.concat(Array(9).fill(Buffer.from(bytesOf(700_001)))));
    await sameBytes(repo, 'blob', Buffer.concat([bytesOf(100), bytesOf(200)]));
    await sameBytes(repo, 'stream', bytesOf(5_000_000));
  },

  async 'what is refused has a reason, and changes nothing'() {
    const { repo, first } = await repository('refused');
    const refuse = async (files, more, expected) => {
      await assert.rejects(commit(repo, 'main', 'No', files, more), { name: 'RefUpdateError', ...expected });
      assert.equal(await tip(repo), first);
    };
    await refuse({ x: 'x' }, { expectedHeadSha: '1'.repeat(40) }, { status: 'precondition_failed', reason: 'precondition_failed' });
    await refuse({ '../x': 'x' }, {}, { reason: 'invalid' });
    await refuse({ '.git/config': 'x' }, {}, { reason: 'invalid' });
    await refuse({ x: 'x' }, { targetBranch: 'a..b' }, { reason: 'invalid' });
    await refuse({ x: 'x' }, { targetBranch: 'absent' }, { reason: 'not_found' });
    await refuse({ x: 'x' }, { targetBranch: 'new', baseBranch: 'absent' }, { reason: 'not_found' });
    await assert.rejects(commit(storage.repo({ id: 'no/repo' }), 'main', 'No', { x: 'x' }), { reason: 'not_found' });
    // Refused before the whole body was read: the answer still arrives.
    const large = repo.createCommit({ targetBranch: 'a..b', commitMessage: 'x', author }).addFile('x', bytesOf(20 << 20)).send();
    await assert.rejects(large, { name: 'RefUpdateError', reason: 'invalid' });
    await assert.rejects(repo.createBranch({ baseBranch: 'main', targetBranch: 'x', ttl: 0.001 }).then(() => { throw new Error('made'); }), () => true);
  },

  async 'a patch becomes a commit'() {
    const { repo, first } = await repository('patches');
    const diff = (await repo.getCommitDiff({ sha: 'work', gitApplyCompatible: true })).files[0].raw;
    const made = await repo.createCommitFromDiff({ targetBranch: 'main', commitMessage: 'Patch', author, diff, expectedHeadSha: first });
    assert.equal(made.refUpdate.oldSha, first);
    assert.equal(await text(repo, 'README.md'), 'hello\nworld\n');
    const again = repo.createCommitFromDiff({ targetBranch: 'main', commitMessage: 'Patch', author, diff });
    await assert.rejects(again, { name: 'RefUpdateError', reason: 'conflict' });
    for (const bad of ['no patch', '']) {
      const made = repo.createCommitFromDiff({ targetBranch: 'main', commitMessage: 'x', author, diff: bad });
      await assert.rejects(made, (e) => e.name === 'RefUpdateError' && ['invalid', 'conflict'].includes(e.reason));
    }
    const guarded = repo.createCommitFromDiff({ targetBranch: 'main', commitMessage: 'x', author, diff, expectedHeadSha: first });
    await assert.rejects(guarded, { reason: 'precondition_failed' });
    const large = `diff --git a/l b/l\nnew file mode 100644\n--- /dev/null\n+++ b/l\n@@ -0,0 +1,100000 @@\n${`+${'x'.repeat(59)}\n`.repeat(100000)}`;
    await repo.createCommitFromDiff({ targetBranch: 'new', baseBranch: 'main', commitMessage: 'Large', author, diff: new Blob([large]) });
    assert.equal((await repo.headFile({ path: 'l', ref: 'new' })).size, 6_000_000);
  },

  async 'an earlier state comes back as a new commit'() {
    const { repo, first } = await repository('restore');
    const second = await commit(repo, 'main', 'Second', { 'README.md': 'changed\n', extra: 'x' });
    const back = await repo.restoreCommit({ targetBranch: 'main', targetCommitSha: first, author, commitMessage: 'Back', expectedHeadSha: second.commitSha });
    assert.equal(back.refUpdate.oldSha, second.commitSha);
    assert.deepEqual((await repo.listFiles()).paths, ['README.md', 'src/a.go', 'src/b.go']);
    assert.deepEqual((await repo.listCommits({ branch: 'main' })).commits.map((c) => c.message), ['Back', 'Second', 'First']);
    await repo.restoreCommit({ targetBranch: 'main', targetCommitSha: second.commitSha, author });
    const stale = repo.restoreCommit({ targetBranch: 'main', targetCommitSha: first, author, expectedHeadSha: first });
    await assert.rejects(stale, { name: 'RefUpdateError', reason: 'precondition_failed' });
    await assert.rejects(repo.restoreCommit({ targetBranch: 'main', targetCommitSha: '1'.repeat(40), author }), { reason: 'not_found' });
    await assert.rejects(repo.restoreCommit({ targetBranch: 'none', targetCommitSha: first, author }), { reason: 'not_found' });
  },
};
