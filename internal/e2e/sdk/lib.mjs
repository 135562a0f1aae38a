// What the stories share: the SDK against the server that the arguments name,
// with every method that is called written down.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as sdk from '@pierre/storage';

export const [url, keyFile, caFile] = process.argv.slice(2);
export const key = readFileSync(keyFile, 'utf8');
export const author = { name: 'Ada', email: 'ada@example.com' };
export const zeros = '0'.repeat(40);

// Methods by class, as "Repo.merge", that were called with a good end.
export const called = new Set();
// Classes that were seen, by name, to know which methods there are.
export const prototypes = new Map();

// recorded wraps an object of the SDK so that its calls are written down.
function recorded(name, object) {
  prototypes.set(name, Object.getPrototypeOf(object));
  return new Proxy(object, {
    get(target, property) {
      const value = Reflect.get(target, property);
      if (typeof value !== 'function') return value;
      return (...args) => {
        const done = (result) => {
          called.add(`${name}.${String(property)}`);
          if (result === target) return wrapped.get(target);
          return wrap(result);
        };
        const result = value.apply(target, args);
        return result instanceof Promise ? result.then(done) : done(result);
      };
    },
  });
}

const wrapped = new WeakMap();

function wrap(result) {
  const name = result?.constructor?.name.replace(/^_|Impl$/g, '');
  if (!['GitStorage', 'Repo', 'CommitBuilder'].includes(name)) return result;
  if (!wrapped.has(result)) wrapped.set(result, recorded(name, result));
  return wrapped.get(result);
}

// connect makes a client of the SDK.
export function connect(options = {}) {
  return wrap(new sdk.GitStorage({ name: 'acme', key, apiBaseUrl: url, storageBaseUrl: new URL(url).host, ...options }));
}
export const storage = connect();

// repository makes one with three files on main, and a branch work with one
// commit more.
export async function repository(id) {
  const repo = await storage.createRepo({ id, defaultBranch: 'main' });
  const first = await commit(repo, 'main', 'First', { 'README.md': 'hello\n', 'src/a.go': 'package a\n', 'src/b.go': 'package b\n' });
  const work = await commit(repo, 'work', 'Work', { 'README.md': 'hello\nworld\n' }, { baseBranch: 'main' });
  return { repo, first: first.commitSha, work: work.commitSha };
}

export function commit(repo, targetBranch, commitMessage, files, more = {}) {
  const builder = repo.createCommit({ targetBranch, commitMessage, author, ...more });
  for (const [path, text] of Object.entries(files)) builder.addFileFromString(path, text);
  return builder.send();
}

export async function text(repo, path, ref) {
  return (await repo.getFileStream({ path, ref })).text();
}

export async function tip(repo, branch = 'main') {
  return (await repo.listBranches()).branches.find((b) => b.name === branch)?.headSha;
}

// git runs stock git, which trusts the server's authority.
export function git(...args) {
  const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0', GIT_SSL_CAINFO: caFile,
    GIT_AUTHOR_NAME: 'Ada', GIT_AUTHOR_EMAIL: 'ada@example.com', GIT_COMMITTER_NAME: 'Ada', GIT_COMMITTER_EMAIL: 'ada@example.com' };
  return execFileSync('git', args, { env, stdio: 'pipe' }).toString();
}

// inFolder runs with a folder that is removed afterwards.
export async function inFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-sdk-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// api calls the server without the SDK, with a token that the SDK minted.
export async function api(repo, scopes, method, path, body) {
  const { password } = new URL(await repo.getRemoteURL({ permissions: scopes }));
  const headers = { authorization: `Bearer ${password}`, 'content-type': 'application/json' };
  return fetch(`${url}/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
}
