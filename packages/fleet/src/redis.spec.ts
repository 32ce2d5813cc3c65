import { describe, expect, it } from '@jest/globals';
import { RedisUnavailable, redisFault } from './redis.ts';

function reply(message: string): Error {
  return Object.assign(new Error(message), { name: 'ReplyError' });
}

describe('redisFault', () => {
  it.each([
    new Error('Connection is closed.'),
    new Error('Command timed out'),
    reply('LOADING Redis is loading the dataset in memory'),
    reply('READONLY You can not write against a read only replica.'),
  ])('maps "%s" to RedisUnavailable with its cause', (cause) => {
    expect(redisFault(cause)).toBeInstanceOf(RedisUnavailable);
    expect(redisFault(cause)).toHaveProperty('cause', cause);
  });

  it('leaves the fault of a script as it is, for that is a bug of ours', () => {
    const fault = reply('ERR user_script:3: attempt to index a nil value');
    expect(redisFault(fault)).toBe(fault);
  });
});
