// Upstreams, their credentials, and webhooks.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import * as sdk from '@pierre/storage';
import { api, commit, repository, storage } from './lib.mjs';

export default {
  async 'upstreams: there is none to pull from'() {
    const { repo } = await repository('no-upstream');
    await assert.rejects(repo.pullUpstream(), { name: 'ApiError', status: 400 });
    await assert.rejects(storage.repo({ id: 'no/repo' }).pullUpstream({ ref: 'main' }), { status: 404 });
  },

  async 'upstreams: pulling is begun, whether or not it can succeed'() {
    const baseRepo = { provider: 'gitea', owner: 'o', name: 'n', upstreamHost: 'gitea.invalid', defaultBranch: 'trunk' };
    const repo = await storage.createRepo({ id: 'follows', baseRepo });
    assert.equal((await storage.findOne({ id: 'follows' })).defaultBranch, 'trunk');
    await repo.pullUpstream();
    const [listed] = (await storage.listRepos({ q: 'follows' })).repos;
    assert.deepEqual([listed.baseRepo.provider, listed.baseRepo.owner, listed.baseRepo.name], ['gitea', 'o', 'n']);
  },

  async 'upstreams: a repository follows one with its credential'() {
    const baseRepo = { provider: 'gitea', owner: 'team', name: 'app', upstreamHost: process.env.UPSTREAM_HOST, defaultBranch: 'main' };
    const repo = await storage.createRepo({ id: 'mirrored', baseRepo });
    await storage.createGitCredential({ repoId: 'mirrored', username: 'bot', password: 'sesame' });
    await repo.pullUpstream();
    const deadline = Date.now() + 60_000;
    for (;;) {
      const branches = await repo.listBranches().then((r) => r.branches, (error) => {
        assert.equal(error.status, 409); // the first sync goes on
        return [];
      });
      if (branches.length > 0) {
        assert.deepEqual(branches.map((b) => b.name), ['main']);
        break;
      }
      assert.ok(Date.now() < deadline, 'no sync succeeded');
      await setTimeout(20);
    }
    assert.equal(await (await repo.getFileStream({ path: 'a' })).text(), '1\n');
  },

  async 'credentials: one for a repository'() {
    await repository('credentials');
    const made = await storage.createGitCredential({ repoId: 'credentials', username: 'git', password: 'secret' });
    assert.match(made.id, /^ggc_/);
    await assert.rejects(storage.createGitCredential({ repoId: 'credentials', password: 'x' }), /already exists|one credential/i);
    assert.equal((await storage.updateGitCredential({ id: made.id, password: 'other' })).id, made.id);
    await storage.deleteGitCredential({ id: made.id });
    await assert.rejects(storage.deleteGitCredential({ id: made.id }), /not found/i);
    await assert.rejects(storage.updateGitCredential({ id: made.id, password: 'x' }), /not found/i);
  },

  async 'webhooks: what is sent passes the verifier, and nothing else does'() {
    assert.deepEqual(sdk.parseSignatureHeader('t=1,sha256=ab'), { timestamp: '1', signature: 'ab' });
    const { repo, first } = await repository('hooked');
    const received = [];
    const receiver = createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      response.end();
      received.push({ headers: request.headers, body });
      receiver.emit('received');
    }).listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    try {
      const url = `http://127.0.0.1:${receiver.address().port}/`;
      const hook = await (await api(repo, ['repo:write'], 'POST', 'webhooks', { url, events: ['push'] })).json();
      const [, pushed] = await Promise.all([once(receiver, 'received'), commit(repo, 'main', 'Pushed', { x: 'x' })]);
      const [{ headers, body }] = received;
      const found = await sdk.validateWebhook(body, headers, hook.secret);
      assert.deepEqual([found.valid, found.eventType, found.error], [true, 'push', undefined]);
      const { type, repository: { url: name }, ref, before, after, customerId, pushedAt } = found.payload;
      assert.deepEqual([type, name, ref, before, after, customerId], ['push', 'hooked', 'refs/heads/main', first, pushed.commitSha, 'acme']);
      assert.ok(Math.abs(Date.now() - pushedAt) < 60_000);
      const text = body.toString();
      assert.ok((await sdk.validateWebhookSignature(text, headers['x-pierre-signature'], hook.secret)).valid);
      assert.ok(!(await sdk.validateWebhook(text.replace('main', 'mein'), headers, hook.secret)).valid);
      assert.ok(!(await sdk.validateWebhook(body, headers, `${hook.secret}x`)).valid);
      assert.ok(!(await sdk.validateWebhook(body, {}, hook.secret)).valid);
    } finally {
      receiver.close();
    }
  },
};
