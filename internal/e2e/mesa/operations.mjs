// Every operation of the low-level client, and what it refuses; and the tokens
// that SDKs from 0.45 on make for each call.
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, randomUUID, sign } from 'node:crypto';
import * as rest from '@mesadev/rest';

const root = 'z'.repeat(32);
const unknown = 'k'.repeat(32);
const b64 = (text) => Buffer.from(text).toString('base64');

// operations calls operations that the other stories leave out, and each with
// what it is documented to refuse.
export async function operations({ apiUrl, apiKey, upstream }) {
  const at = { baseUrl: apiUrl, auth: apiKey };
  const org = { org: 'acme' };
  const here = { ...org, repo: 'operations' };
  const good = async (name, options) => {
    const { data, error, response } = await rest[name]({ ...at, ...options });
    assert.equal(error, undefined, `${name}: ${JSON.stringify(error)}`);
    assert.ok(response.status === 200 || response.status === 201);
    return data;
  };
  const refused = async (name, status, code, options) => {
    const { error, response } = await rest[name]({ ...at, ...options });
    assert.deepEqual([response.status, error?.error?.code], [status, code], `${name} ${JSON.stringify(options)}: ${JSON.stringify(error)}`);
    assert.equal(typeof error.error.message, 'string');
  };
  await good('createRepo', { path: org, body: { name: 'operations' } });
  await good('createRepo', { path: org, body: { name: 'taken' } });
  const change = (body) => good('createChange', { path: here, body: { message: 'm', author: { name: 'Bot', email: 'b@x.dev' }, ...body } });
  const first = await change({ base_change_id: root, files: [{ path: 'a', content: b64('1\n') }, { path: 'run', content: b64('#!'), mode: '100755' }] });
  const second = await change({ base_change_id: first.id, files: [{ path: 'a', action: 'delete' }] });
  const beside = await change({ base_change_id: first.id });
  const bookmark = (name) => ({ ...here, bookmark: name });
  await good('moveBookmark', { path: bookmark('main'), body: { change_id: second.id } });
  await good('createBookmark', { path: here, body: { name: 'release/1', change_id: first.id } });
  const listed = await good('listBookmarks', { path: here, query: { glob: 'release/*' } });
  assert.deepEqual(listed.bookmarks.map((b) => b.name), ['release/1']);
  const noOp = await good('mergeBookmark', { path: here, body: { target: 'main', source: 'release/1' } });
  assert.deepEqual([noOp.merge_type, noOp.change_id], ['no_op', second.id]);
  assert.deepEqual(await good('deleteBookmark', { path: bookmark('release/1') }), { success: true });
  const edited = await good('updateChange', { path: { ...here, change_id: first.id },
    body: { base_commit_oid: first.current_commit_oid, message: 'edited', files: [{ path: 'b', content: b64('2\n') }] } });
  assert.deepEqual([edited.id, edited.message, edited.current_commit_oid === first.current_commit_oid], [first.id, 'edited', false]);
  const entries = (await good('getContent', { path: here, query: { depth: 2 } })).entries.map((e) => e.path);
  assert.deepEqual(entries, ['b', 'run']); // the change on top came along
  const page = await good('listChanges', { path: here, query: { limit: 1 } });
  const rest_ = await good('listChanges', { path: here, query: { limit: 1, cursor: page.next_cursor } });
  assert.deepEqual([page.changes[0].id, page.has_more, rest_.changes[0].id, rest_.has_more], [second.id, true, first.id, false]);
  assert.equal((await good('getOrg', { path: org })).num_repos > 0, true);
  const linked = await good('updateRepo', { path: here, body: { upstream: { url: upstream, auth: { kind: 'token', token: 'sesame' } } } });
  assert.deepEqual(linked.upstream, { url: upstream, auth_kind: 'token', latest_sync: null });
  assert.equal((await good('updateRepo', { path: here, body: { upstream: { url: upstream, auth: null } } })).upstream.auth_kind, null);
  const queued = await good('syncUpstream', { path: here, body: { direction: 'pull', ref_globs: { tags: 'v*' } } });
  assert.deepEqual([queued.status, queued.ref_globs], ['queued', { branches: '', tags: 'v*' }]);
  assert.equal((await good('getRepoUpstreamSync', { path: { ...here, syncId: queued.id } })).id, queued.id);
  assert.equal((await good('listRepoUpstreamSyncs', { path: here })).syncs[0].id, queued.id);
  assert.equal((await good('updateRepo', { path: here, body: { upstream: null } })).upstream, null);

  const nowhere = { ...org, repo: 'nowhere' };
  const evil = { org: 'evil' };
  const [bad, absent, clash] = [[400, 'BAD_REQUEST'], [404, 'NOT_FOUND'], [409, 'CONFLICT']];
  for (const [name, [status, code], options] of [
    ['whoami', [401, 'UNAUTHENTICATED'], { auth: 'mesa_wrong' }],
    ['getOrg', absent, { path: evil }],
    ['listApiKeys', bad, { path: org, query: { status: 'odd' } }],
    ['createApiKey', bad, { path: org, body: { scopes: ['root'] } }],
    ['createApiKey', absent, { path: org, body: { repo_ids: ['repo_none'] } }],
    ['updateApiKey', absent, { path: { ...org, id: 'key_none' }, body: { tags: {} } }],
    ['revokeApiKey', absent, { path: { ...org, id: 'key_none' } }],
    ['listRepos', bad, { path: org, query: { tags: 'nothing' } }],
    ['createRepo', clash, { path: org, body: { name: 'operations' } }],
    ['createRepo', bad, { path: org, body: { name: 'new', upstream: { url: 'ssh://git@host/a' } } }],
    ['bulkUpdateRepoTags', absent, { path: org, body: { repo_ids: ['repo_none'], action: 'set', key: 'k', value: 'v' } }],
    ['bulkUpdateRepoTags', bad, { path: org, body: { repo_ids: [], action: 'set', key: 'k', value: 'v' } }],
    ['getRepo', absent, { path: nowhere }],
    ['updateRepo', absent, { path: nowhere, body: {} }],
    ['updateRepo', clash, { path: here, body: { name: 'taken' } }],
    ['deleteRepo', absent, { path: nowhere }],
    ['getContent', absent, { path: here, query: { path: 'none' } }],
    ['getContent', bad, { path: here, query: { depth: 11 } }],
    ['listBookmarks', absent, { path: nowhere }],
    ['createBookmark', clash, { path: here, body: { name: 'main', change_id: first.id } }],
    ['createBookmark', absent, { path: here, body: { name: 'b', change_id: unknown } }],
    ['createBookmark', bad, { path: here, body: { name: 'a..b', change_id: first.id } }],
    ['getBookmark', absent, { path: bookmark('none') }],
    ['moveBookmark', absent, { path: bookmark('none'), body: { change_id: first.id } }],
    ['moveBookmark', clash, { path: bookmark('main'), body: { change_id: beside.id, allow_backwards: false } }],
    ['deleteBookmark', absent, { path: bookmark('none') }],
    ['deleteBookmark', clash, { path: bookmark('main') }],
    ['mergeBookmark', absent, { path: here, body: { target: 'main', source: 'none' } }],
    ['listChanges', absent, { path: here, query: { bookmark: 'none' } }],
    ['createChange', absent, { path: here, body: { base_change_id: unknown } }],
    ['createChange', bad, { path: here, body: { base_change_id: root, files: [{ path: '../a', content: '' }] } }],
    ['createChange', absent, { path: here, body: { base_change_id: root, files: [{ path: 'a', action: 'delete' }] } }],
    ['getChange', absent, { path: { ...here, change_id: unknown } }],
    ['updateChange', clash, { path: { ...here, change_id: first.id }, body: { base_commit_oid: first.current_commit_oid, message: 'late' } }],
    ['updateChange', absent, { path: { ...here, change_id: unknown }, body: { message: 'm' } }],
    ['getDiff', absent, { path: here, query: { base_change_id: root, head_change_id: unknown } }],
    ['getDiff', bad, { path: here, query: { base_change_id: 'main', head_change_id: root } }],
    ['syncUpstream', bad, { path: here, body: { direction: 'pull' } }], // it has no upstream any more
    ['listRepoUpstreamSyncs', absent, { path: nowhere }],
    ['getRepoUpstreamSync', absent, { path: { ...here, syncId: queued.id } }], // forgotten with the upstream
  ]) {
    await refused(name, status, code, options);
  }
}

// privateKeyTokens signs a token for each call, as SDKs from 0.45 on do. None of
// those is published where tests can have it.
export async function privateKeyTokens({ apiUrl, privateKey }) {
  const [, org, der] = privateKey.match(/^mesa_private_key_([a-z0-9-]+)_(.+)$/);
  const key = createPrivateKey({ key: Buffer.from(der, 'base64url'), format: 'der', type: 'pkcs8' });
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = (claims) => {
    const now = Math.floor(Date.now() / 1000);
    const text = `${encode({ alg: 'EdDSA', typ: 'mesa-at+jwt', jwk: { kty: 'OKP', crv: 'Ed25519', x } })}.${encode({ iss: org, aud: 'mesa-api', ...claims, iat: now, exp: now + 900, jti: randomUUID() })}`;
    return `${text}.${sign(null, Buffer.from(text), key).toString('base64url')}`;
  };
  const call = (claims, name, options) => rest[name]({ baseUrl: apiUrl, auth: token(claims), ...options });
  const authors = [{ name: 'Ada', email: 'ada@example.com' }];
  for (const [i, claims] of [{ authors, admin: true }, { author: [['Ada', 'ada@example.com']], scopes: ['admin'] }].entries()) {
    const path = { org, repo: `signed-${i}` };
    const made = await call(claims, 'createRepo', { path: { org }, body: { name: path.repo } });
    assert.equal(made.response.status, 201, JSON.stringify(made.error));
    const { data: change } = await call(claims, 'createChange', { path, body: { base_change_id: root, message: 'm', files: [{ path: 'a', content: b64('1') }] } });
    assert.deepEqual([change.author.name, change.author.email], ['Ada', 'ada@example.com']);
  }
  const reader = { authors, access: { 'SIGNED-0': 'read-repo' } };
  assert.equal((await call(reader, 'getContent', { path: { org, repo: 'signed-0' } })).response.status, 200);
  for (const [name, options] of [['getContent', { path: { org, repo: 'signed-1' } }], ['createBookmark', { path: { org, repo: 'signed-0' }, body: { name: 'b', change_id: root } }]]) {
    const { error, response } = await call(reader, name, options);
    assert.deepEqual([response.status, error.error.code], [403, 'FORBIDDEN'], name);
  }
}
