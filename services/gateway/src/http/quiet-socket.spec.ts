import { expect, it } from '@jest/globals';
import { keepQuiet, type TimedSocket } from './quiet-socket.ts';

it('has its time limit back when the last of its requests is over', () => {
  let timeout = 60_000;
  const socket: TimedSocket = {
    get timeout() {
      return timeout;
    },
    setTimeout(ms) {
      timeout = ms;
      return this as never;
    },
  };
  const first = keepQuiet(socket);
  const second = keepQuiet(socket);
  expect(socket.timeout).toBe(0);
  first();
  first();
  expect(socket.timeout).toBe(0);
  second();
  expect(socket.timeout).toBe(60_000);
});
