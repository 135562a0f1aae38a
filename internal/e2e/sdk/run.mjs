// The official Code Storage SDK, unmodified, against a running server:
// node run.mjs URL KEY-FILE CA-FILE. It ends with status 0 if every answer is
// what the SDK's user expects, and if every method of the SDK was called.
import assert from 'node:assert/strict';
import * as sdk from '@pierre/storage';
import commits from './commits.mjs';
import { called, prototypes } from './lib.mjs';
import merging from './merging.mjs';
import reading from './reading.mjs';
import repositories from './repositories.mjs';
import syncing from './syncing.mjs';

let failed = 0;
for (const [name, story] of Object.entries({ ...repositories, ...commits, ...reading, ...merging, ...syncing })) {
  try {
    await story();
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.error(`FAILED ${name}\n`, error);
  }
}

// Every method of the SDK's classes was called, and ended well, somewhere above.
// But not what the classes keep to themselves.
const inner = ['constructor', 'generateJWT', 'buildMetadata', 'ensureNotSent', 'normalizePath'];
assert.deepEqual([...prototypes.keys()].sort(), ['CommitBuilder', 'GitStorage', 'Repo']);
for (const [name, prototype] of prototypes) {
  for (const method of Object.getOwnPropertyNames(prototype)) {
    const full = `${name}.${method}`;
    if (!inner.includes(method) && !called.has(full)) {
      failed++;
      console.error(`FAILED no story calls ${full}`);
    }
  }
}
// What the package exports is known: another version may have more to try.
assert.deepEqual(Object.keys(sdk).sort(), [
  'ApiError', 'CodeStorage', 'GitStorage', 'OP_NO_FORCE_PUSH', 'OP_NO_PUSH', 'OP_VERIFY_SIG', 'RefUpdateError', 'createClient', 'encodeRefsClaim', 'parseSignatureHeader', 'validateWebhook', 'validateWebhookSignature',
]);
process.exit(failed ? 1 : 0);
