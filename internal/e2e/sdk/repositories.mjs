// Repositories, tokens, remotes.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import * as sdk from '@pierre/storage';
import { commit, connect, git, inFolder, key, repository, storage, text, url } from './lib.mjs';

export default {
  async 'create, find, list and refuse a second of the name'() {
    const repo = await storage.createRepo({ id: 'team/app', defaultBranch: 'trunk' });
    assert.equal(repo.id, 'team/app');
    await assert.rejects(storage.createRepo({ id: 'team/app' }), /already exists/);
    const found = await storage.findOne({ id: 'team/app' });
    assert.deepEqual([found.id, found.defaultBranch], ['team/app', 'trunk']);
    assert.ok(Date.parse(found.createdAt) <= Date.now());
    assert.equal(await storage.findOne({ id: 'team/none' }), null);
    await storage.createRepo({ id: 'team/other' });
    await storage.createRepo(); // of a random name
    const { repos } = await storage.listRepos({ q: ' TEAM/ ' });
    assert.deepEqual(repos.map((r) => [r.url, r.defaultBranch]), [['team/app', 'trunk'], ['team/other', 'main']]);
    const page = await storage.listRepos({ limit: 1, q: 'team/' });
    assert.ok(page.hasMore);
    assert.deepEqual((await storage.listRepos({ limit: 1, q: 'team/', cursor: page.nextCursor })).repos.map((r) => r.url), ['team/other']);
    await assert.rejects(storage.createRepo({ id: '../evil' }), { name: 'ApiError', status: 401 }); // no token may name it
  },

  async 'delete'() {
    await storage.createRepo({ id: 'gone' });
    const gone = await storage.deleteRepo({ id: 'gone' });
    assert.match(gone.message, /deletion initiated/);
    assert.equal(await storage.findOne({ id: 'gone' }), null);
    await assert.rejects(storage.deleteRepo({ id: 'gone' }), /not found|already deleted/);
    const remote = await storage.repo({ id: 'gone' }).getRemoteURL();
    assert.throws(() => git('ls-remote', remote), /not found/);
  },

  async 'forks: all of it, at a branch, at a commit'() {
    const { first, work } = await repository('source');
    const fork = await storage.createRepo({ id: 'forks/all', baseRepo: { id: 'source' } });
    assert.deepEqual((await fork.listBranches()).branches.map((b) => [b.name, b.headSha]), [['main', first], ['work', work]]);
    const atBranch = await storage.createRepo({ id: 'forks/branch', baseRepo: { id: 'source', ref: 'work' } });
    assert.equal(await text(atBranch, 'README.md'), 'hello\nworld\n');
    const atCommit = await storage.createRepo({ id: 'forks/commit', baseRepo: { id: 'source', ref: 'work', sha: first }, defaultBranch: 'trunk' });
    assert.deepEqual((await atCommit.listBranches()).branches.map((b) => [b.name, b.headSha]), [['trunk', first]]);
    await assert.rejects(storage.createRepo({ id: 'forks/none', baseRepo: { id: 'nothing' } }), { name: 'ApiError', status: 404 });
  },

  async 'git clones and pushes with the addresses that the SDK mints'() {
    const { repo, first } = await repository('team/git');
    await inFolder((folder) => {
      const clone = async (name, address) => git('clone', '-q', await address, `${folder}/${name}`);
      return clone('normal', repo.getRemoteURL({ ttl: 600 })).then(async () => {
        assert.equal(readFileSync(`${folder}/normal/README.md`, 'utf8'), 'hello\n');
        git('-C', `${folder}/normal`, 'fsck', '--strict');
        writeFileSync(`${folder}/normal/new.txt`, 'new\n');
        git('-C', `${folder}/normal`, 'add', '.');
        git('-C', `${folder}/normal`, 'commit', '-qm', 'Pushed');
        git('-C', `${folder}/normal`, 'push', '-q', 'origin', 'HEAD:main');
        assert.equal(await text(repo, 'new.txt'), 'new\n');
        // The ephemeral remote has refs of its own; the import remote takes only.
        const ephemeral = await repo.getEphemeralRemoteURL();
        git('-C', `${folder}/normal`, 'push', '-q', ephemeral, 'HEAD:session');
        assert.match(git('ls-remote', ephemeral), /refs\/heads\/session/);
        assert.doesNotMatch(git('ls-remote', await repo.getRemoteURL()), /session/);
        const imports = await repo.getImportRemoteURL();
        git('-C', `${folder}/normal`, 'push', '-q', imports, 'HEAD:imported');
        assert.throws(() => git('ls-remote', imports));
        assert.ok((await repo.listBranches()).branches.some((b) => b.name === 'imported'));
        // Rights and policies are in the token.
        const reader = await repo.getRemoteURL({ permissions: ['git:read'] });
        assert.throws(() => git('-C', `${folder}/normal`, 'push', reader, 'HEAD:x'), /403|denied|scope/);
        const guarded = await repo.getRemoteURL({ refPolicies: [{ pattern: 'main', ops: ['no-push'] }] });
        assert.throws(() => git('-C', `${folder}/normal`, 'push', guarded, `+${first}:refs/heads/main`), /denied by policy/);
        const careful = await repo.getRemoteURL({ ops: ['no-force-push'] });
        assert.throws(() => git('-C', `${folder}/normal`, 'push', careful, `+${first}:refs/heads/main`), /denied by policy/);
      });
    });
  },

  async 'a token without the scope, one of a stranger, a fixed one, and policies on calls'() {
    const { repo } = await repository('team/rights');
    const stranger = connect({ name: 'nobody' });
    await assert.rejects(stranger.listRepos(), { name: 'ApiError', status: 401 });
    const reader = new URL(await repo.getRemoteURL({ permissions: ['git:read'] })).password;
    const fixed = connect({ key: undefined, token: reader }).repo({ id: 'team/rights' });
    assert.equal(await text(fixed, 'README.md'), 'hello\n');
    await assert.rejects(fixed.deleteBranch({ name: 'work' }), { name: 'ApiError', status: 403 });
    await assert.rejects(commit(fixed, 'main', 'x', { x: 'x' }), { name: 'RefUpdateError', status: 'forbidden', reason: 'forbidden' });
    const refPolicies = [{ pattern: 'work', ops: ['no-push'] }];
    await assert.rejects(repo.deleteBranch({ name: 'work', refPolicies }), (e) => e.status === 403 && /denied by policy/.test(e.message));
    await assert.rejects(commit(repo, 'work', 'x', { x: 'x' }, { refPolicies }), { reason: 'forbidden' });
  },

  async 'what needs no server: configuration, claims, addresses'() {
    assert.equal(storage.getConfig().name, 'acme');
    assert.match(sdk.GitStorage.getDefaultAPIBaseUrl('acme'), /acme/);
    assert.match(sdk.GitStorage.getDefaultStorageBaseUrl('acme'), /acme/);
    assert.equal(sdk.createClient({ name: 'acme', key }).getConfig().name, 'acme');
    assert.equal(sdk.CodeStorage, sdk.GitStorage);
    assert.deepEqual(sdk.encodeRefsClaim([{ pattern: 'main', ops: ['no-push'] }]), [['main', ['no-push']]]);
    const { password } = new URL(await storage.repo({ id: 'x' }).getRemoteURL());
    const [head, claims, signature] = password.split('.');
    const signed = { key: createPublicKey(key), dsaEncoding: 'ieee-p1363' };
    assert.ok(verify('sha256', Buffer.from(`${head}.${claims}`), signed, Buffer.from(signature, 'base64url')));
    assert.equal(JSON.parse(Buffer.from(claims, 'base64url')).repo, 'x');
    assert.match(url, /^https:/);
  },
};
