/** What counts as a secret, and that nothing else is changed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { jsonObject, token } from '../../actors/coordinator/fields.ts';
import type { Json } from '../../machines/record.ts';
import { operation } from '../../src/bus/operation.ts';
import { FabricError } from '../../src/errors.ts';
import { Redactor, redacted } from '../../src/redaction.ts';

const redactor = new Redactor(['password', 'api_key', 'Set-Cookie']);

describe('a value under a configured name', () => {
  it.each([
    'password',
    'PASSWORD',
    'Pass-Word',
    'pass_word',
    'api_key',
    'API-Key',
    'apiKey',
    'set_cookie',
    'setCookie',
  ])('is redacted under %s', (key) =>
    expect(redactor.redact({ [key]: 'hunter2', other: 1 })).toEqual({ [key]: redacted, other: 1 }),
  );

  it.each(['passwords', 'my_password', 'key', 'pass', '', 'password '])('is kept under %j, another name', (key) =>
    expect(redactor.redact({ [key]: 'plain' })).toEqual({ [key]: 'plain' }),
  );

  it.each([['a text'], [7], [true], [null], [''], [['a', 'b']], [{ deep: { er: 'x' } }]])(
    'is redacted whatever it is: %j',
    (value) => expect(redactor.redact({ a: [{ password: value as Json }] })).toEqual({ a: [{ password: redacted }] }),
  );

  it('is found at any depth, in objects and lists', () => {
    let value: Json = { password: 'deep', kept: 'x' };
    for (let level = 0; level < 60; level++) value = level % 2 === 0 ? [value, 1] : { inner: value };
    const text = JSON.stringify(redactor.redact(value));
    expect(text).not.toContain('deep');
    expect(text).toContain(`{"password":"${redacted}","kept":"x"}`);
  });
});

describe('a value that is marked as a secret', () => {
  it.each([
    [{ $secret: 'hunter2' }],
    [{ $secret: { user: 'a', pass: 'hunter2' } }],
    [{ $secret: null }],
    [{ $secret: 'hunter2', note: 'hunter2 too' }],
  ])('is redacted as a whole: %j', (value) => {
    expect(redactor.redact(value)).toBe(redacted);
    expect(redactor.redact({ any: [value, 'kept'] })).toEqual({ any: [redacted, 'kept'] });
  });

  it('needs no configuration', () => {
    expect(new Redactor([]).redact([{ $secret: 1 }, { password: 'kept' }])).toEqual([redacted, { password: 'kept' }]);
  });
});

describe('everything else', () => {
  it('is the very same value', () => {
    const value = { a: [1, { b: null }], ' ': 'ü🐝', constructor: 'x', toString: [] };
    expect(redactor.redact(value)).toBe(value);
  });

  it('stays as it was, whatever is redacted beside it', () => {
    const name = fc.constantFrom('password', 'API-KEY', '$secret', 'a', 'toString', 'ü');
    const { json } = fc.letrec<{ json: Json }>((tie) => ({
      json: fc.oneof(
        { maxDepth: 5 },
        fc.oneof(fc.string(), fc.double({ noNaN: true }), fc.boolean(), fc.constant(null)),
        fc.array(tie('json'), { maxLength: 4 }),
        fc.dictionary(name, tie('json'), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(json, (value) => {
        const before = JSON.stringify(value);
        const once = redactor.redact(value);
        expect(JSON.stringify(value)).toBe(before);
        expect(redactor.redact(once)).toEqual(once);
        expect(once).toEqual(expected(value));
      }),
    );
  });
});

describe('an operation', () => {
  const seen: unknown[] = [];
  const made = operation(
    {
      token,
      metadata: jsonObject.optional(),
      about: z.string().max(20).optional(),
      task: z.strictObject({ token, metadata: jsonObject }).optional(),
    },
    async ({ body }) => seen.push(body),
  );
  const names = new Redactor(['token', 'metadata', 'password']);

  it('keeps its own fields, whatever their names, and redacts what is inside them', async () => {
    const metadata = { token: 'a', password: 'b', kept: { metadata: 1 } };
    await made.run('a', { token: 7, metadata, task: { token: 8, metadata } }, names);
    const inside = { token: redacted, password: redacted, kept: { metadata: redacted } };
    expect(seen.pop()).toEqual({ token: 7, metadata: inside, task: { token: 8, metadata: inside } });
  });

  it('takes a secret for a text', async () => {
    await made.run('a', { token: 7, about: { $secret: 'hunter2' } });
    expect(seen.pop()).toEqual({ token: 7, about: redacted });
  });

  it.each([
    ['a field of another type', { token: { $secret: 'hunter2' } }],
    ['an object that is a secret as a whole', { token: 1, metadata: { $secret: 'hunter2' } }],
    ['a list in the place of an object', { token: 1, metadata: [{ password: 'hunter2' }] }],
    ['a marked object of named fields', { token: 1, task: { $secret: 'hunter2' } }],
    ['a field that it does not have', { token: 1, password: 'hunter2' }],
  ])('does not show a secret when it refuses %s', async (_, body) => {
    const error: unknown = await made.run('a', body, names).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(FabricError);
    expect((error as FabricError).code).toBe('INVALID_REQUEST');
    expect(`${String(error)} ${JSON.stringify((error as FabricError).details)}`).not.toContain('hunter2');
  });
});

/** The rule, told another way: over the text of the value. */
function expected(value: Json): Json {
  return JSON.parse(JSON.stringify(value), (key, child: Json) => {
    if (key === 'password' || key === 'API-KEY') return redacted;
    return typeof child === 'object' && child !== null && Object.hasOwn(child, '$secret') ? redacted : child;
  }) as Json;
}
