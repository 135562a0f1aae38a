// Branches, tags, files, history.
import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import { author, commit, repository, storage, text, tip } from './lib.mjs';

export default {
  async 'branches: created, listed, compared, deleted'() {
    const { repo, first, work } = await repository('branches');
    assert.equal((await repo.createBranch({ baseBranch: 'main', targetBranch: 'copy' })).commitSha, first);
    assert.equal((await repo.createBranch({ baseRef: 'refs/heads/work', targetBranch: 'copy' })).commitSha, work);
    await assert.rejects(repo.createBranch({ baseBranch: 'main', targetBranch: 'copy' }), { status: 409 });
    await assert.rejects(repo.createBranch({ baseBranch: 'none', targetBranch: 'x' }), { status: 404 });
    assert.deepEqual((await repo.listBranches()).branches.map((b) => b.name), ['main', 'work', 'copy']);
    const page = await repo.listBranches({ limit: 1 });
    assert.ok(page.hasMore);
    assert.equal((await repo.listBranches({ limit: 1, cursor: page.nextCursor })).branches[0].name, 'work');
    const diff = await repo.getBranchDiff({ branch: 'work', base: 'main' });
    assert.deepEqual([diff.mergeBaseSha, diff.stats.additions, diff.files.map((f) => [f.path, f.state])], [first, 1, [['README.md', 'modified']]]);
    assert.equal((await repo.deleteBranch({ name: 'copy' })).name, 'copy');
    await assert.rejects(repo.deleteBranch({ name: 'copy' }), { status: 404 });
    await assert.rejects(repo.deleteBranch({ name: 'main' }), { status: 409 });
  },

  async 'the ephemeral namespace is a world of its own until promoted'() {
    const { repo } = await repository('ephemeral');
    const made = await commit(repo, 'session', 'Session', { s: 's' }, { ephemeral: true, baseBranch: 'main' });
    assert.deepEqual((await repo.listBranches({ ephemeral: true })).branches.map((b) => b.name), ['session']);
    assert.ok(!(await repo.listBranches()).branches.some((b) => b.name === 'session'));
    assert.equal((await repo.listCommits({ branch: 'session', ephemeral: true })).commits[0].sha, made.commitSha);
    assert.ok((await repo.listFiles({ ref: 'session', ephemeral: true })).paths.includes('s'));
    assert.equal(await (await repo.getFileStream({ path: 's', ref: 'session', ephemeral: true })).text(), 's');
    assert.equal((await repo.getBranchDiff({ branch: 'session', base: 'main', ephemeral: true })).files[0].path, 's');
    const next = await commit(repo, 'second', 'Next', { t: 't' }, { ephemeral: true, baseBranch: 'session', ephemeralBase: true });
    await repo.createBranch({ baseBranch: 'session', targetBranch: 'session', baseIsEphemeral: true });
    assert.equal(await tip(repo, 'session'), made.commitSha);
    assert.notEqual(next.commitSha, made.commitSha);
    await repo.deleteBranch({ name: 'session', ephemeral: true });
    assert.deepEqual((await repo.listBranches({ ephemeral: true })).branches.map((b) => b.name), ['second']);
    assert.equal(await tip(repo, 'session'), made.commitSha);
  },

  async 'tags'() {
    const { repo, first } = await repository('tags');
    assert.equal((await repo.createTag({ name: 'v1', target: first })).sha, first);
    await assert.rejects(repo.createTag({ name: 'v1', target: first }), { name: 'ApiError', status: 409 });
    await assert.rejects(repo.createTag({ name: 'a..b', target: first }), { status: 400 });
    await assert.rejects(repo.createTag({ name: 'v2', target: '1'.repeat(40) }), { status: 404 });
    await repo.createTag({ name: 'v0', target: first });
    const page = await repo.listTags({ limit: 1 });
    assert.deepEqual([page.tags.map((t) => t.name), page.hasMore], [['v0'], true]);
    assert.deepEqual((await repo.listTags({ cursor: page.nextCursor })).tags.map((t) => [t.name, t.sha]), [['v1', first]]);
    assert.equal((await repo.deleteTag({ name: 'v1' })).name, 'v1');
    await assert.rejects(repo.deleteTag({ name: 'v1' }), { status: 404 });
  },

  async 'files: whole, in part, on conditions'() {
    const { repo, first, work } = await repository('files');
    const head = await repo.headFile({ path: 'README.md' });
    assert.deepEqual([head.size, head.lastCommitSha, head.etag], [6, first, `"${head.blobSha}"`]);
    const part = await repo.getFileStream({ path: 'README.md', ref: 'work', headers: { range: 'bytes=6-10' } });
    assert.deepEqual([part.status, await part.text(), part.headers.get('content-range')], [206, 'world', 'bytes 6-10/12']);
    assert.equal(part.headers.get('x-last-commit-sha'), work);
    assert.equal((await repo.getFileStream({ path: 'README.md', headers: { ifNoneMatch: head.etag } })).status, 304);
    assert.equal((await repo.getFileStream({ path: 'README.md', headers: { ifMatch: '"x"' } })).status, 412);
    assert.equal((await repo.getFileStream({ path: 'README.md', headers: { range: 'bytes=99-' } })).status, 416);
    assert.equal((await repo.headFile({ path: 'README.md', headers: { ifNoneMatch: head.etag } })).status, 304);
    await assert.rejects(repo.getFileStream({ path: 'none' }), { name: 'ApiError', status: 404 });
    await assert.rejects(repo.headFile({ path: 'src' }), { status: 404 });
    const folder = await repo.listFiles({ path: 'src', recursive: false, limit: 1 });
    assert.deepEqual([folder.paths, folder.hasMore, folder.ref], [['src/a.go'], true, 'main']);
    assert.deepEqual((await repo.listFiles({ path: 'src', recursive: false, cursor: folder.nextCursor })).paths, ['src/b.go']);
    await assert.rejects(repo.listFiles({ ref: 'none' }), { status: 404 });
    const empty = await storage.createRepo({ id: 'files/empty' });
    await assert.rejects(empty.listFiles(), { status: 404 });
    assert.deepEqual((await empty.listBranches()).branches, []);
  },

  async 'files with the commits that changed them last'() {
    const { repo, first, work } = await repository('metadata');
    const found = await repo.listFilesWithMetadata({ ref: 'work' });
    assert.deepEqual(found.files.map((f) => [f.path, f.size, f.lastCommitSha]), [['README.md', 12, work], ['src/a.go', 10, first], ['src/b.go', 10, first]]);
    assert.deepEqual(Object.keys(found.commits).sort(), [first, work].sort());
    assert.equal(found.commits[work].message, 'Work');
    const page = await repo.listFilesWithMetadata({ limit: 2 });
    assert.deepEqual((await repo.listFilesWithMetadata({ cursor: page.nextCursor, limit: 2 })).files.map((f) => f.path), ['src/b.go']);
    assert.deepEqual((await repo.listFilesWithMetadata({ path: 'src' })).files.map((f) => f.path), ['src/a.go', 'src/b.go']);
  },

  async 'history and differences'() {
    const { repo, first, work } = await repository('history');
    assert.deepEqual((await repo.listCommits({ branch: 'work' })).commits.map((c) => [c.message, c.parentShas]), [['Work', [first]], ['First', []]]);
    assert.deepEqual((await repo.listCommits({ branch: 'work', path: 'src' })).commits.map((c) => c.sha), [first]);
    const page = await repo.listCommits({ branch: 'work', limit: 1 });
    assert.deepEqual((await repo.listCommits({ branch: 'work', limit: 1, cursor: page.nextCursor })).commits.map((c) => c.sha), [first]);
    await assert.rejects(repo.listCommits({ branch: 'none' }), { status: 404 });
    await assert.rejects(repo.listCommits({ branch: 'work', cursor: 'nonsense' }), { status: 400 });
    assert.equal((await repo.getCommit({ sha: work.slice(0, 10) })).commit.sha, work);
    await assert.rejects(repo.getCommit({ sha: '1'.repeat(40) }), { status: 404 });
    const diff = await repo.getCommitDiff({ sha: work });
    assert.deepEqual(diff.files.map((f) => [f.path, f.rawState, f.additions]), [['README.md', 'M', 1]]);
    assert.match(diff.files[0].raw, /\n\+world\n/);
    assert.deepEqual((await repo.getCommitDiff({ sha: work, baseSha: first })).baseSha, first);
    assert.deepEqual((await repo.getCommitDiff({ sha: work, paths: ['src'] })).files, []);
    await repo.createCommit({ targetBranch: 'main', commitMessage: 'Binary', author }).addFile('b.bin', new Uint8Array([0, 1, 2])).send();
    assert.deepEqual((await repo.getCommitDiff({ sha: 'main' })).filteredFiles.map((f) => f.path), ['b.bin']);
  },

  async 'blame'() {
    const { repo, first, work } = await repository('blame');
    const found = await repo.getBlame({ path: 'README.md', ref: 'work' });
    assert.equal(found.commitSha, work);
    assert.deepEqual(found.lines.map((l) => [l.lineNumber, l.commitSha, l.summary]), [[1, first, 'First'], [2, work, 'Work']]);
    assert.deepEqual((await repo.getBlame({ path: 'README.md', ref: 'work', ranges: ['2,2'], detectMoves: true })).lines.map((l) => l.lineNumber), [2]);
    await assert.rejects(repo.getBlame({ path: 'none' }), { status: 404 });
    await assert.rejects(repo.getBlame({ path: 'README.md', ranges: ['9,'] }), { status: 400 });
  },

  async 'grep'() {
    const { repo, first } = await repository('grep');
    const found = await repo.grep({ query: { pattern: 'PACKAGE [ab]', caseSensitive: false }, fileFilters: { includeGlobs: ['**/*.go'], excludeGlobs: ['**/a.go'] }, context: { before: 1, after: 1 } });
    assert.equal(found.repo.commit, first);
    assert.deepEqual(found.matches.map((m) => [m.path, m.lines.map((l) => [l.lineNumber, l.text, l.type])]), [['src/b.go', [[1, 'package b', 'match']]]]);
    assert.deepEqual((await repo.grep({ query: { pattern: 'PACKAGE' } })).matches, []);
    const page = await repo.grep({ query: { pattern: 'package' }, pagination: { limit: 1 } });
    assert.ok(page.hasMore);
    const rest = await repo.grep({ query: { pattern: 'package' }, pagination: { limit: 1, cursor: page.nextCursor } });
    assert.deepEqual(rest.matches.map((m) => m.path), ['src/b.go']);
    await assert.rejects(repo.grep({ query: { pattern: '(' } }), { status: 400 });
    await assert.rejects(repo.grep({ ref: 'none', query: { pattern: 'x' } }), { status: 404 });
  },

  async 'archive'() {
    const { repo } = await repository('team/archive');
    const response = await repo.getArchiveStream({ ref: 'work', includeGlobs: ['src/**', 'README.md'], excludeGlobs: ['**/b.go'], archivePrefix: 'app' });
    assert.equal(response.headers.get('content-type'), 'application/gzip');
    assert.match(response.headers.get('content-disposition'), /attachment; filename="[^"]+\.tar\.gz"/);
    const tar = gunzipSync(Buffer.from(await response.arrayBuffer()));
    assert.ok(tar.includes('app/src/a.go') && tar.includes('hello\nworld\n') && !tar.includes('src/b.go'));
    assert.ok(gunzipSync(Buffer.from(await (await repo.getArchiveStream()).arrayBuffer())).includes('README.md'));
    await assert.rejects(repo.getArchiveStream({ archivePrefix: '../x' }), { status: 400 });
  },

  async 'reads see what was written before'() {
    const { repo } = await repository('consistent');
    for (let i = 0; i < 10; i++) {
      await commit(repo, 'main', `Write ${i}`, { 'n.txt': `${i}\n` });
      assert.equal(await text(repo, 'n.txt'), `${i}\n`);
    }
  },
};
