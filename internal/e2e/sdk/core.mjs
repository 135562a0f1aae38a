// The core of Code Storage through its official SDK, unmodified, against a
// running server: node core.mjs URL KEY-FILE. It ends with status 0 if every
// answer is what the SDK's user expects.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GitStorage } from '@pierre/storage';

const [url, keyFile] = process.argv.slice(2);
const key = readFileSync(keyFile, 'utf8');
const storage = new GitStorage({ name: 'acme', key, apiBaseUrl: url, storageBaseUrl: new URL(url).host });
const author = { name: 'Ada', email: 'ada@example.com' };
const zeros = '0'.repeat(40);

const steps = {
  async 'create, find, list and refuse a second of the name'() {
    const repo = await storage.createRepo({ id: 'team/app', defaultBranch: 'main' });
    assert.equal(repo.id, 'team/app');
    await assert.rejects(storage.createRepo({ id: 'team/app' }), /already exists/);
    assert.equal((await storage.findOne({ id: 'team/app' })).id, 'team/app');
    assert.equal(await storage.findOne({ id: 'team/none' }), null);
    const { repos } = await storage.listRepos();
    assert.deepEqual(repos.map((r) => r.url), ['team/app']);
  },

  async 'commit and read back'() {
    const repo = await storage.findOne({ id: 'team/app' });
    const first = await repo
      .createCommit({ targetBranch: 'main', commitMessage: 'First', author })
      .addFileFromString('docs/a.txt', 'hello\n')
      .addFileFromString('run.sh', '#!/bin/sh\n', { mode: '100755' })
      .addFile('empty', new Uint8Array())
      .send();
    assert.equal(first.refUpdate.oldSha, zeros);
    assert.equal(first.refUpdate.newSha, first.commitSha);
    assert.equal(first.blobCount, 3);
    assert.equal(await (await repo.getFileStream({ path: 'docs/a.txt' })).text(), 'hello\n');
    assert.equal((await repo.headFile({ path: 'docs/a.txt' })).size, 6);
    const files = await repo.listFiles();
    assert.deepEqual(files.paths, ['docs/a.txt', 'empty', 'run.sh']);
    assert.equal(files.entries.at(-1).mode, '100755');
    const { commits } = await repo.listCommits({ branch: 'main' });
    assert.deepEqual(commits.map((c) => c.message), ['First']);
    assert.equal(commits[0].sha, first.commitSha);
    assert.equal((await repo.getCommit({ sha: 'main' })).commit.authorEmail, author.email);
  },

  async 'a file of several chunks keeps its bytes'() {
    const repo = await storage.findOne({ id: 'team/app' });
    const bytes = new Uint8Array(9 * 1024 * 1024 + 7).map((_, i) => (i * 31) >> 3);
    await repo.createCommit({ targetBranch: 'main', commitMessage: 'Large', author }).addFile('large.bin', bytes).send();
    const got = new Uint8Array(await (await repo.getFileStream({ path: 'large.bin' })).arrayBuffer());
    assert.ok(Buffer.from(got).equals(Buffer.from(bytes)), 'large.bin came back changed');
  },

  async 'a stale guard is refused and changes nothing'() {
    const repo = await storage.findOne({ id: 'team/app' });
    const before = (await repo.listCommits({ branch: 'main' })).commits[0].sha;
    const stale = repo
      .createCommit({ targetBranch: 'main', commitMessage: 'Stale', author, expectedHeadSha: '1'.repeat(40) })
      .addFileFromString('x', 'x')
      .send();
    await assert.rejects(stale, { name: 'RefUpdateError', status: 'precondition_failed' });
    assert.equal((await repo.listCommits({ branch: 'main' })).commits[0].sha, before);
  },

  async 'branches: from a base, listed, compared, deleted'() {
    const repo = await storage.findOne({ id: 'team/app' });
    const tip = (await repo.listCommits({ branch: 'main' })).commits[0].sha;
    const feature = await repo
      .createCommit({ targetBranch: 'feature', baseBranch: 'main', expectedHeadSha: tip, commitMessage: 'Feature', author })
      .addFileFromString('feature.txt', 'one\n')
      .deletePath('run.sh')
      .send();
    const diff = await repo.getCommitDiff({ sha: feature.commitSha });
    assert.deepEqual(diff.files.map((f) => [f.path, f.rawState]), [['feature.txt', 'A'], ['run.sh', 'D']]);
    assert.equal(diff.stats.files, 2);
    assert.equal((await repo.getBranchDiff({ branch: 'feature' })).mergeBaseSha, tip);
    assert.equal((await repo.createBranch({ baseBranch: 'main', targetBranch: 'copy' })).commitSha, tip);
    assert.deepEqual((await repo.listBranches()).branches.map((b) => b.name), ['main', 'feature', 'copy']);
    const page = await repo.listBranches({ limit: 1 });
    assert.ok(page.hasMore);
    assert.equal((await repo.listBranches({ limit: 1, cursor: page.nextCursor })).branches[0].name, 'feature');
    await repo.deleteBranch({ name: 'copy' });
    await assert.rejects(repo.deleteBranch({ name: 'copy' }), { status: 404 });
    await assert.rejects(repo.deleteBranch({ name: 'main' }), { status: 409 });
  },

  async 'the ephemeral namespace is a world of its own until promoted'() {
    const repo = await storage.findOne({ id: 'team/app' });
    const made = await repo
      .createCommit({ targetBranch: 'session', ephemeral: true, baseBranch: 'main', commitMessage: 'Session', author })
      .addFileFromString('s', 's')
      .send();
    assert.deepEqual((await repo.listBranches({ ephemeral: true })).branches.map((b) => b.name), ['session']);
    assert.ok(!(await repo.listBranches()).branches.some((b) => b.name === 'session'));
    await repo.createBranch({ baseBranch: 'session', targetBranch: 'session', baseIsEphemeral: true });
    const promoted = (await repo.listBranches()).branches.find((b) => b.name === 'session');
    assert.equal(promoted.headSha, made.commitSha);
  },

  async 'tags'() {
    const repo = await storage.findOne({ id: 'team/app' });
    const tip = (await repo.listCommits({ branch: 'main' })).commits[0].sha;
    await repo.createTag({ name: 'v1', target: tip });
    await assert.rejects(repo.createTag({ name: 'v1', target: tip }), { status: 409 });
    assert.deepEqual((await repo.listTags()).tags.map((t) => [t.name, t.sha]), [['v1', tip]]);
    await repo.deleteTag({ name: 'v1' });
    assert.deepEqual((await repo.listTags()).tags, []);
  },

  async 'fork, clone with the minted URL, delete'() {
    const fork = await storage.createRepo({ id: 'team/fork', baseRepo: { id: 'team/app' } });
    assert.ok((await fork.listBranches()).branches.some((b) => b.name === 'feature'));
    // The SDK mints https addresses; this server speaks plain HTTP.
    const remote = (await fork.getRemoteURL()).replace('https://', 'http://');
    const dir = mkdtempSync(join(tmpdir(), 'cairn-sdk-'));
    try {
      const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' };
      execFileSync('git', ['clone', '-q', remote, dir], { env });
      assert.equal(readFileSync(join(dir, 'docs/a.txt'), 'utf8'), 'hello\n');
      execFileSync('git', ['-C', dir, 'fsck', '--strict'], { env, stdio: 'pipe' });
    } finally {
      rmSync(dir, { recursive: true });
    }
    await storage.deleteRepo({ id: 'team/fork' });
    assert.equal(await storage.findOne({ id: 'team/fork' }), null);
    await assert.rejects(storage.deleteRepo({ id: 'team/fork' }), /not found|already deleted/);
  },

  async 'a token without the scope, and one that was not signed by the organization'() {
    const stranger = new GitStorage({ name: 'nobody', key, apiBaseUrl: url, storageBaseUrl: new URL(url).host });
    await assert.rejects(stranger.listRepos(), { status: 401 });
    const repo = await storage.findOne({ id: 'team/app' });
    const denied = new URL(await repo.getRemoteURL({ permissions: ['git:read'], refPolicies: undefined }));
    const resp = await fetch(`${url}/api/v1/repos/branches`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${denied.password}` },
      body: JSON.stringify({ name: 'feature' }),
    });
    assert.equal(resp.status, 403);
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log(`ok ${name}`);
}
