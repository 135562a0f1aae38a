// The official Mesa SDK and its low-level client, unmodified, against a running
// server: node run.mjs URL KEY UPSTREAM PRIVATE_KEY. It ends with status 0 if every
// answer is what their users expect.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as rest from '@mesadev/rest';
import { Mesa, VIRTUAL_ROOT_CHANGE_ID } from '@mesadev/sdk';
import { operations, privateKeyTokens } from './operations.mjs';
import { syncEvents, webhookEvents, webhookTargets } from './webhooks.mjs';

const [url, apiKey, upstream, privateKey] = process.argv.slice(2);
const apiUrl = `${url}/v1`;
const mesa = new Mesa({ apiKey, apiUrl, org: 'acme' });

// refused wants a call to fail with a status and a code.
async function refused(call, status, code) {
  await assert.rejects(call, (error) => {
    assert.equal(error.status, status, `${error}`);
    assert.equal(error.code, code, `${error}`);
    return true;
  });
}

function git(directory, ...args) {
  const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'Ada', GIT_AUTHOR_EMAIL: 'ada@example.com', GIT_COMMITTER_NAME: 'Ada', GIT_COMMITTER_EMAIL: 'ada@example.com' };
  return execFileSync('git', ['-C', directory, ...args], { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const remote = (name, password) => `${url.replace('://', `://t:${password}@`)}/acme/${name}.git`;

const stories = {
  async 'whoami finds the organization out'() {
    const alone = new Mesa({ apiKey, apiUrl });
    const org = await alone.org.get();
    assert.equal(typeof org.num_repos, 'number');
    const wrong = new Mesa({ apiKey: 'mesa_wrong', apiUrl, org: 'acme' });
    await refused(wrong.repos.list(), 401, 'UNAUTHENTICATED');
  },

  async 'API keys'() {
    const made = await mesa.apiKeys.create({ name: 'ci', scopes: ['read'], expires_in_seconds: 3600 });
    assert.match(made.key, /^mesa_/);
    const reader = new Mesa({ apiKey: made.key, apiUrl, org: 'acme' });
    await reader.repos.list();
    await refused(reader.repos.create({ name: 'no' }), 403, 'FORBIDDEN');
    await refused(reader.apiKeys.list(), 403, 'FORBIDDEN');
    const listed = await mesa.apiKeys.list();
    assert.ok(listed.api_keys.some((k) => k.id === made.id && k.last_used_at));
    await mesa.apiKeys.revoke({ id: made.id });
    await refused(reader.repos.list(), 401, 'UNAUTHENTICATED');
  },

  async 'repositories'() {
    const made = await mesa.repos.create({ name: 'site', default_bookmark: 'trunk', tags: { env: 'prod' } });
    assert.deepEqual([made.name, made.default_bookmark, made.head_change_id, made.upstream, made.org], ['site', 'trunk', VIRTUAL_ROOT_CHANGE_ID, null, 'acme']);
    await refused(mesa.repos.create({ name: 'site' }), 409, 'CONFLICT');
    await refused(mesa.repos.create({ name: 'a/b' }), 400, 'BAD_REQUEST');
    assert.deepEqual(await mesa.repos.get({ repo: 'site' }), made);
    const listed = await mesa.repos.list({ tags: 'env:prod', limit: 5 });
    assert.deepEqual(listed.repos.map((r) => r.name), ['site']);
    const changed = await mesa.repos.update({ repo: 'site', name: 'home', tags: { env: null, team: 'a' } });
    assert.deepEqual([changed.id, changed.name, changed.tags], [made.id, 'home', { team: 'a' }]);
    await refused(mesa.repos.get({ repo: 'site' }), 404, 'NOT_FOUND');
    assert.deepEqual(await mesa.repos.delete({ repo: 'home' }), { success: true });
    await refused(mesa.repos.delete({ repo: 'home' }), 404, 'NOT_FOUND');
  },

  async 'tokens that the SDK signs, over HTTP and with git'() {
    await mesa.repos.create({ name: 'app' });
    await mesa.repos.create({ name: 'other' });
    const { token } = await mesa.tokens.create({ scopes: ['read', 'write'], repos: ['acme/app'], ttl_seconds: 60 });
    const bound = new Mesa({ apiKey: token, apiUrl, org: 'acme' });
    assert.equal((await bound.repos.get({ repo: 'app' })).name, 'app');
    await refused(bound.repos.get({ repo: 'other' }), 403, 'FORBIDDEN');
    await refused(bound.repos.create({ name: 'no' }), 403, 'FORBIDDEN');
    await refused(bound.apiKeys.create({ name: 'no' }), 403, 'FORBIDDEN');
    assert.deepEqual((await bound.repos.list()).repos.map((r) => r.name), ['app']);

    const directory = mkdtempSync(join(tmpdir(), 'cairn-mesa-'));
    try {
      git(directory, 'init', '-q', '-b', 'main');
      writeFileSync(join(directory, 'a.txt'), 'hi\n');
      git(directory, 'add', '.');
      git(directory, 'commit', '-qm', 'First');
      git(directory, 'push', '-q', remote('app', token), 'main');
      assert.throws(() => git(directory, 'push', '-q', remote('other', token), 'main'), /403/);
      const reader = (await mesa.tokens.create({ scopes: ['read'] })).token;
      assert.throws(() => git(directory, 'push', '-q', remote('app', reader), 'main:next'), /403/);
      git(directory, 'clone', '-q', remote('app', reader), 'copy');
      git(directory, 'clone', '-q', remote('app', apiKey), 'again');
      assert.equal(readFileSync(join(directory, 'copy', 'a.txt'), 'utf8'), 'hi\n');
      assert.throws(() => git(directory, 'ls-remote', `${url.replace('://', `://t:${apiKey}@`)}/evil/app.git`), /not found/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },

  async 'content'() { // of what the story before pushed
    const repo = await mesa.repos.get({ repo: 'app' });
    assert.notEqual(repo.head_change_id, VIRTUAL_ROOT_CHANGE_ID);
    const listing = await mesa.content.get({ repo: 'app' });
    assert.deepEqual([listing.type, listing.child_count, listing.entries.map((e) => e.path)], ['dir', 1, ['a.txt']]);
    const file = await mesa.content.get({ repo: 'app', path: 'a.txt', change_id: repo.head_change_id });
    assert.deepEqual([file.type, file.content, file.mode, file.size], ['file', 'aGkK', '100644', 3]);
    assert.equal((await mesa.content.get({ repo: 'app', change_id: VIRTUAL_ROOT_CHANGE_ID })).child_count, 0);
    await refused(mesa.content.get({ repo: 'app', path: 'nothing' }), 404, 'NOT_FOUND');
    await refused(mesa.content.get({ repo: 'nothing' }), 404, 'NOT_FOUND');
  },

  async 'changes, bookmarks, a diff and a merge'() {
    await mesa.repos.create({ name: 'changes' });
    const repo = 'changes';
    const b64 = (text) => Buffer.from(text).toString('base64');
    const author = { name: 'Bot', email: 'b@x.dev', date: '2026-06-01T00:00:00Z' };
    const first = await mesa.changes.create({ repo, base_change_id: VIRTUAL_ROOT_CHANGE_ID, message: 'Add README', author,
      files: [{ path: 'README.md', content: b64('one\ntwo\nthree\n') }] });
    assert.deepEqual([first.message, first.parents, first.is_conflicted], ['Add README', [VIRTUAL_ROOT_CHANGE_ID], false]);
    const moved = await mesa.bookmarks.move({ repo, bookmark: 'main', change_id: first.id });
    assert.deepEqual(moved, { name: 'main', change_id: first.id, is_default: true, from_change_id: VIRTUAL_ROOT_CHANGE_ID });
    await mesa.bookmarks.create({ repo, name: 'feature/x', change_id: first.id });
    const edit = (text) => mesa.changes.create({ repo, base_change_id: first.id, message: text, author, files: [{ path: 'README.md', content: b64(`one\n${text}\nthree\n`) }] });
    const [ours, theirs] = [await edit('ours'), await edit('theirs')];
    await mesa.bookmarks.move({ repo, bookmark: 'feature/x', change_id: theirs.id });
    assert.equal((await mesa.bookmarks.get({ repo, bookmark: 'feature/x' })).change_id, theirs.id);
    const diff = await mesa.diffs.get({ repo, base_change_id: first.id, head_change_id: theirs.id });
    assert.deepEqual([diff.stats.additions, diff.stats.deletions, diff.entries[0].status], [1, 1, 'modified']);
    await mesa.bookmarks.move({ repo, bookmark: 'main', change_id: ours.id });
    await refused(mesa.bookmarks.merge({ repo, target: 'main', source: 'feature/x' }), 409, 'MERGE_CONFLICT');
    const merged = await mesa.bookmarks.merge({ repo, target: 'main', source: 'feature/x', allow_conflicted: true, delete_source: true });
    assert.deepEqual([merged.is_conflicted, merged.merge_type, merged.source_deleted], [true, 'merge_commit', true]);
    const conflict = await mesa.diffs.get({ repo, base_change_id: ours.id, head_change_id: merged.change_id, conflicts: 'only' });
    const { path, hunks: [hunk] } = conflict.conflicted_entries[0];
    const update = (body) => rest.updateChange({ baseUrl: apiUrl, auth: apiKey, path: { org: 'acme', repo, change_id: merged.change_id }, body });
    const { error: stuck, response } = await update({ message: 'no' }); // the SDK itself has no such call
    assert.deepEqual([response.status, stuck.error.code, stuck.error.details.conflict_paths], [409, 'MERGE_CONFLICT', [path]]);
    const { data: resolved } = await update({ base_commit_oid: merged.commit_oid, resolutions: [{ path, hunks: [{ hunk_id: hunk.hunk_id, take: 'source' }] }] });
    assert.deepEqual([resolved.id, resolved.is_conflicted], [merged.change_id, false]);
    const detail = await mesa.changes.get({ repo, change_id: merged.change_id });
    assert.deepEqual([detail.conflicts, detail.parents], [[], [ours.id, theirs.id]]);
    const listed = await mesa.changes.list({ repo, bookmark: 'main' });
    assert.deepEqual(new Set(listed.changes.map((c) => c.id)), new Set([merged.change_id, ours.id, theirs.id, first.id]));
    assert.deepEqual((await mesa.bookmarks.list({ repo })).bookmarks.map((b) => b.name), ['main']);
    await refused(mesa.changes.get({ repo, change_id: 'k'.repeat(32) }), 404, 'NOT_FOUND');

    const directory = mkdtempSync(join(tmpdir(), 'cairn-mesa-'));
    try { // git sees the same, and what it commits and pushes is a change
      git(directory, 'clone', '-q', remote(repo, apiKey), 'copy');
      const copy = join(directory, 'copy');
      assert.equal(readFileSync(join(copy, 'README.md'), 'utf8'), 'one\ntheirs\nthree\n');
      assert.match(git(copy, 'cat-file', 'commit', 'HEAD'), new RegExp(`^change-id ${merged.change_id}$`, 'm'));
      assert.doesNotMatch(git(copy, 'ls-remote'), /namespaces/);
      writeFileSync(join(copy, 'new'), 'new\n');
      git(copy, 'add', '.');
      git(copy, 'commit', '-qm', 'Plain');
      git(copy, 'push', '-q', 'origin', 'main');
      const head = await mesa.bookmarks.get({ repo, bookmark: 'main' });
      const pushed = await mesa.changes.get({ repo, change_id: head.change_id });
      assert.deepEqual([pushed.message, pushed.files, pushed.parents], ['Plain', ['new'], [merged.change_id]]);
      assert.equal(`${pushed.current_commit_oid}\n`, git(copy, 'rev-parse', 'HEAD'));
    } finally {
      rmSync(directory, { recursive: true });
    }
    await refused(mesa.bookmarks.delete({ repo, bookmark: 'main' }), 409, 'CONFLICT');
  },

  async 'webhook targets'() {
    await webhookTargets({ mesa, apiUrl, apiKey, refused });
  },

  async 'the events of webhooks'() {
    await webhookEvents({ mesa, apiUrl, apiKey, git, remote });
  },

  async 'syncs, and their events'() {
    await syncEvents({ mesa, apiUrl, apiKey, upstream });
  },

  async 'every operation, and what it refuses'() {
    await operations({ apiUrl, apiKey, upstream });
  },

  async 'tokens from a private key'() {
    await privateKeyTokens({ apiUrl, privateKey });
  },

  async 'what only the low-level client calls'() {
    const at = { baseUrl: apiUrl, auth: apiKey };
    const path = { org: 'acme' };
    const { data: me } = await rest.whoami(at);
    assert.deepEqual([me.org.slug, me.scopes], ['acme', ['read', 'write', 'admin']]);
    const { data: made } = await rest.createApiKey({ ...at, path, body: { tags: { Env: 'prod' } } });
    const { data: tagged } = await rest.updateApiKey({ ...at, path: { ...path, id: made.id }, body: { tags: { env: null, team: 'a' } } });
    assert.deepEqual(tagged, { tags: { team: 'a' } });
    const { data: found } = await rest.getRepo({ ...at, path: { ...path, repo: 'app' } });
    const { data: bulk } = await rest.bulkUpdateRepoTags({ ...at, path, body: { repo_ids: [found.id], action: 'set', key: 'k', value: 'v' } });
    assert.deepEqual(bulk, { updated: 1 });
    const { error, response } = await rest.getRepo({ ...at, path: { ...path, repo: 'nothing' } });
    assert.deepEqual([response.status, error.error.code], [404, 'NOT_FOUND']);
    const folder = await fetch(`${apiUrl}/acme/app/content`, { headers: { authorization: `Bearer ${apiKey}`, accept: 'application/octet-stream' } });
    assert.equal(folder.status, 406);
  },
};

let failed = 0;
for (const [name, story] of Object.entries(stories)) {
  try {
    await story();
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.error(`FAILED ${name}\n`, error);
  }
}
process.exit(failed ? 1 : 0);
