// Webhook targets and their events: each event is received as the SDK's users
// do, which verifies its signature and its shape.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as rest from '@mesadev/rest';
import { Mesa, VIRTUAL_ROOT_CHANGE_ID } from '@mesadev/sdk';

export const allEvents = ['repo.created', 'repo.updated', 'repo.deleted', 'bookmark.created', 'bookmark.deleted', 'bookmark.moved', 'bookmark.merged',
  'change.created', 'change.evolved', 'push', 'sync.queued', 'sync.in_progress', 'sync.completed', 'sync.failed'];

// Receiver takes events and keeps them in the order of their coming.
class Receiver {
  constructor({ apiKey, apiUrl }) {
    this.options = { apiKey, apiUrl, org: 'acme' };
    this.events = [];
    this.waiting = [];
    this.server = createServer((request, response) => this.take(request, response));
  }

  async listen() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${this.server.address().port}/hook`;
  }

  trust(webhookSecret) {
    this.mesa = new Mesa({ ...this.options, webhookSecret });
    this.mesa.webhooks.on(allEvents, (event) => this.events.push(event));
  }

  async take(request, response) {
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const received = this.events.length;
      await this.mesa.webhooks.receive(new Request('http://receiver/hook', { method: 'POST', headers: request.headers, body: Buffer.concat(chunks) }));
      const event = this.events[received];
      assert.equal(request.headers['x-mesa-event'], event.type);
      assert.match(request.headers['x-mesa-delivery'], /./);
      response.writeHead(200).end();
    } catch (error) {
      this.failure = error;
      response.writeHead(400).end();
    }
    for (const wake of this.waiting.splice(0)) wake();
  }

  // next returns the next event, which must be of that type.
  async next(type) {
    while (!this.failure && this.events.length === 0) await new Promise((resolve) => this.waiting.push(resolve));
    if (this.failure) throw this.failure;
    const event = this.events.shift();
    assert.equal(event.type, type, JSON.stringify(event));
    return event;
  }
}

const b64 = (text) => Buffer.from(text).toString('base64');
const noCommit = '0'.repeat(40);
const root = VIRTUAL_ROOT_CHANGE_ID;

export async function webhookTargets({ mesa, apiUrl, apiKey, refused }) {
  const hooked = await mesa.repos.create({ name: 'targets' });
  const url = 'http://127.0.0.1:9/hook';
  const made = await mesa.webhookTargets.create({ url });
  assert.match(made.secret, /^whsec_/);
  const { secret, ...shown } = made;
  assert.deepEqual([shown.name, shown.url, shown.events, shown.repo_ids], [null, url, ['push'], null]);
  const bound = await mesa.webhookTargets.create({ url, name: 'one', events: ['repo.deleted', 'change.created'], repo_ids: [hooked.id] });
  assert.deepEqual([bound.name, bound.events, bound.repo_ids], ['one', ['change.created', 'repo.deleted'], [hooked.id]]);
  assert.notEqual(bound.secret, secret);
  const listed = await mesa.webhookTargets.list();
  assert.deepEqual(listed.webhook_targets.map((t) => t.id), [made.id, bound.id]);
  assert.ok(!JSON.stringify(listed).includes('whsec_'));
  const first = await mesa.webhookTargets.list({ limit: 1 });
  assert.deepEqual([first.has_more, first.webhook_targets], [true, [shown]]);
  const second = await mesa.webhookTargets.list({ limit: 1, cursor: first.next_cursor });
  assert.deepEqual([second.has_more, second.webhook_targets[0].id], [false, bound.id]);
  const changed = await mesa.webhookTargets.update({ webhookTargetId: bound.id, name: null, repo_ids: null, events: ['push'] });
  assert.deepEqual([changed.name, changed.repo_ids, changed.events, changed.url, changed.secret], [null, null, ['push'], url, undefined]);
  const { data: found } = await rest.getWebhookTarget({ baseUrl: apiUrl, auth: apiKey, path: { org: 'acme', webhookTargetId: bound.id } });
  assert.deepEqual(found, changed);
  for (const bad of [{ url: '' }, { url: 'ftp://x.dev/' }, { url: 'https://10.0.0.1/' }, { url, events: [] }, { url, events: ['repo.sync.started'] }, { url, repo_ids: [] }]) {
    await refused(mesa.webhookTargets.create(bad), 400, 'BAD_REQUEST');
  }
  await refused(mesa.webhookTargets.create({ url, repo_ids: ['repo_none'] }), 404, 'NOT_FOUND');
  for (const target of [made, bound]) assert.deepEqual(await mesa.webhookTargets.delete({ webhookTargetId: target.id }), { success: true });
  await refused(mesa.webhookTargets.delete({ webhookTargetId: made.id }), 404, 'NOT_FOUND');
}

// The events of exchanges with an upstream: one that goes well, and one that does
// not.
export async function syncEvents({ mesa, apiUrl, apiKey, upstream }) {
  const receiver = new Receiver({ apiUrl, apiKey });
  const repo = 'synced';
  const made = await mesa.repos.create({ name: repo, upstream: { url: upstream } });
  assert.deepEqual(made.upstream, { url: upstream, auth_kind: null, latest_sync: null });
  const { id: webhookTargetId, secret } = await mesa.webhookTargets.create({
    url: await receiver.listen(), repo_ids: [made.id], events: allEvents.filter((e) => e !== 'repo.updated') });
  receiver.trust(secret);
  try {
    const queued = await mesa.repos.syncUpstream({ repo, direction: 'pull', ref_globs: { branches: 'main' } });
    assert.deepEqual([queued.status, queued.direction, queued.ref_globs], ['queued', 'pull', { branches: 'main', tags: '' }]);
    assert.deepEqual((await receiver.next('sync.queued')).data.sync, queued);
    const begun = (await receiver.next('sync.in_progress')).data.sync;
    assert.deepEqual([begun.id, begun.attempt, begun.finished_at], [queued.id, 1, null]);
    const moved = (await receiver.next('bookmark.moved')).data;
    assert.equal(moved.from.change_id, root);
    const ended = (await receiver.next('sync.completed')).data.sync;
    assert.deepEqual([ended.id, ended.started_at, ended.error], [queued.id, begun.started_at, null]);
    assert.deepEqual(ended.stats.refs.map((r) => [r.name, r.before, r.after, r.outcome]), [['refs/heads/main', null, moved.bookmark.commit_oid, 'updated']]);
    assert.deepEqual(await mesa.repos.getUpstreamSync({ repo, syncId: queued.id }), ended);

    await mesa.repos.update({ repo, upstream: { url: upstream.replace('.git', '-nothing.git') } });
    const broken = await mesa.repos.syncUpstream({ repo, direction: 'pull' });
    await receiver.next('sync.queued');
    await receiver.next('sync.in_progress');
    const failed = (await receiver.next('sync.failed')).data.sync;
    assert.deepEqual([failed.id, failed.status], [broken.id, 'failed']);
    assert.match(failed.error, /./);
    assert.deepEqual((await mesa.repos.listUpstreamSyncs({ repo })).syncs, [failed]); // of the present upstream
  } finally {
    await mesa.webhookTargets.delete({ webhookTargetId });
    receiver.server.close();
  }
}

// Every event comes to who asks for all of them, in the order in which things
// happen, told as what they came to.
export async function webhookEvents({ mesa, apiUrl, apiKey, git, remote }) {
  const receiver = new Receiver({ apiUrl, apiKey });
  const { id: webhookTargetId, secret } = await mesa.webhookTargets.create({ url: await receiver.listen(), events: allEvents });
  receiver.trust(secret);
  const next = (type) => receiver.next(type);
  const directory = mkdtempSync(join(tmpdir(), 'cairn-mesa-'));
  try {
    const repo = 'hooked';
    const made = await mesa.repos.create({ name: repo, tags: { env: 'prod' } });
    const created = await next('repo.created');
    const { upstream, org, ...info } = made;
    assert.deepEqual(created.data.repo, info);
    assert.deepEqual([created.organization.slug, created.repository.id, created.repository.name, created.repository.url], ['acme', made.id, repo, remote(repo, 'x').replace('t:x@', '')]);
    assert.deepEqual((await next('bookmark.created')).data.bookmark, { name: 'main', is_default: true, change_id: root, commit_oid: noCommit });

    const author = { name: 'Bot', email: 'b@x.dev', date: '2026-06-01T00:00:00Z' };
    const write = (base, text) => mesa.changes.create({ repo, base_change_id: base, message: text, author, files: [{ path: text, content: b64(text) }] });
    const first = await write(root, 'first');
    const { is_conflicted, ...told } = first;
    assert.deepEqual((await next('change.created')).data.change, told);
    await mesa.bookmarks.move({ repo, bookmark: 'main', change_id: first.id });
    const moved = (await next('bookmark.moved')).data;
    assert.deepEqual(moved, { bookmark: { name: 'main', is_default: true, change_id: first.id, commit_oid: first.current_commit_oid }, from: { change_id: root, commit_oid: noCommit } });

    await mesa.bookmarks.create({ repo, name: 'feat', change_id: root });
    assert.deepEqual((await next('bookmark.created')).data.bookmark, { name: 'feat', is_default: false, change_id: root, commit_oid: noCommit });
    const second = await write(first.id, 'second');
    await next('change.created');
    await mesa.bookmarks.move({ repo, bookmark: 'feat', change_id: second.id });
    assert.equal((await next('bookmark.moved')).data.from.change_id, root);

    const { data: evolved } = await rest.updateChange({ baseUrl: apiUrl, auth: apiKey, path: { org: 'acme', repo, change_id: first.id }, body: { message: 'better' } });
    const evolution = (await next('change.evolved')).data;
    assert.deepEqual([evolution.change.id, evolution.change.current_commit_oid, evolution.change.message, evolution.previous_current_commit_oid],
      [first.id, evolved.current_commit_oid, evolved.message, first.current_commit_oid]);
    assert.equal(evolution.change.created_at, first.created_at);
    const after = (await next('change.evolved')).data; // the one on top of it
    assert.deepEqual([after.change.id, after.previous_current_commit_oid], [second.id, second.current_commit_oid]);
    const places = [(await next('bookmark.moved')).data.bookmark, (await next('bookmark.moved')).data.bookmark];
    assert.deepEqual(Object.fromEntries(places.map((b) => [b.name, b.commit_oid])), { main: evolved.current_commit_oid, feat: after.change.current_commit_oid });

    const merged = await mesa.bookmarks.merge({ repo, target: 'main', source: 'feat', delete_source: true });
    assert.equal((await next('change.created')).data.change.id, merged.change_id);
    assert.equal((await next('bookmark.moved')).data.from.commit_oid, evolved.current_commit_oid);
    assert.deepEqual((await next('bookmark.merged')).data.bookmark, { name: 'main', is_default: true, change_id: merged.change_id, commit_oid: merged.commit_oid });
    assert.equal((await next('bookmark.deleted')).data.bookmark.name, 'feat');

    git(directory, 'clone', '-q', remote(repo, apiKey), 'copy');
    const copy = join(directory, 'copy');
    for (const name of ['plain', 'more']) {
      writeFileSync(join(copy, name), name);
      git(copy, 'add', '.');
      git(copy, 'commit', '-qm', name);
    }
    git(copy, 'tag', 'v1');
    git(copy, 'push', '-q', 'origin', 'main', 'v1');
    const tip = git(copy, 'rev-parse', 'HEAD').trim();
    assert.equal((await next('bookmark.moved')).data.bookmark.commit_oid, tip);
    const push = (await next('push')).data;
    assert.deepEqual(push.updates, [
      { ref: 'refs/heads/main', bookmark: 'main', before: merged.commit_oid, after: tip, action: 'updated' },
      { ref: 'refs/tags/v1', bookmark: '', before: null, after: tip, action: 'created' },
    ]);
    assert.deepEqual(push.reconciliation, { reconciled_commit_count: 2, touched_change_count: 2, changes_created_count: 2, evolog_inserted_count: 0,
      invalid_change_id_header_count: 0, dirty_change_skip_count: 0 });

    await mesa.repos.update({ repo, name: 'renamed', tags: { env: null } });
    const updated = await next('repo.updated');
    assert.deepEqual([updated.data.before, updated.data.after], [{ name: repo, default_bookmark: 'main', tags: { env: 'prod' } }, { name: 'renamed', default_bookmark: 'main', tags: {} }]);
    assert.equal(updated.repository.name, 'renamed');
    const head = await mesa.repos.get({ repo: 'renamed' });
    assert.equal(updated.data.repo.head_change_id, head.head_change_id);
    await mesa.repos.delete({ repo: 'renamed' });
    assert.deepEqual((await next('repo.deleted')).data.repo, updated.data.repo);
    assert.deepEqual(receiver.events, []);
  } finally {
    rmSync(directory, { recursive: true });
    await mesa.webhookTargets.delete({ webhookTargetId });
    receiver.server.close();
  }
}
