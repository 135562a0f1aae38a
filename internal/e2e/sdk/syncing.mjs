// Upstreams, their credentials, and webhooks.
import assert from 'node:assert/strict';
import * as sdk from '@pierre/storage';
import { repository, storage } from './lib.mjs';

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

  async 'the verifier of webhooks'() {
    assert.deepEqual(sdk.parseSignatureHeader('t=1,sha256=ab'), { timestamp: '1', signature: 'ab' });
    assert.equal((await sdk.validateWebhookSignature('{}', 't=1,sha256=ab', 'secret')).valid, false);
    assert.equal((await sdk.validateWebhook('{}', {}, 'secret')).valid, false);
  },
};
