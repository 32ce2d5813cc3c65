import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { VoiceSocket } from './voice-socket.js';

/** The browser's socket, driven by the test. */
class FakeWebSocket {
  static all = [];
  sent = [];
  bufferedAmount = 0;
  constructor(url) {
    this.url = url;
    FakeWebSocket.all.push(this);
  }
  send(data) {
    this.sent.push(data);
  }
  close(code) {
    this.closedWith = code;
  }
  says(frame) {
    this.onmessage({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
  }
  ends(code, reason = '') {
    this.onclose({ code, reason });
  }
}

const HELLO = { type: 'info', message: 'Ready.', session_id: 'sess_1' };
const last = () => FakeWebSocket.all.at(-1);

describe('the connection of the page', () => {
  let socket;
  let states;
  let frames;

  beforeEach(() => {
    jest.useFakeTimers();
    globalThis.WebSocket = FakeWebSocket;
    FakeWebSocket.all = [];
    states = [];
    frames = [];
    socket = new VoiceSocket({
      url: () => 'ws://here/ws?api_key=k',
      onFrame: (frame) => frames.push(frame.type),
      onState: (state) => states.push(state),
    });
  });
  afterEach(() => {
    socket.close();
    jest.useRealTimers();
    delete globalThis.WebSocket;
  });

  const open = async () => {
    const connected = socket.connect();
    last().onopen();
    last().says(HELLO);
    expect(await connected).toBe(true);
  };

  it('is open when the server has admitted the session, not before', async () => {
    const connected = socket.connect();
    last().onopen();
    expect(socket.state).toBe('connecting');
    last().says({ type: 'info', code: 'QUEUED', message: 'Second in line.' });
    expect(socket.state).toBe('queued');
    last().says(HELLO);
    expect(await connected).toBe(true);
    expect(socket.state).toBe('open');
    expect(last().url).toBe('ws://here/ws?api_key=k');
  });

  it('tries five times more, after 1, 2, 4, 8 and 16 s, and then gives up', async () => {
    await open();
    last().ends(1006);
    const delays = [];
    while (socket.state === 'waiting') {
      const { inMs } = states.at(-1);
      delays.push(inMs);
      const before = FakeWebSocket.all.length;
      jest.advanceTimersByTime(inMs - 1);
      expect(FakeWebSocket.all).toHaveLength(before);
      jest.advanceTimersByTime(1);
      expect(FakeWebSocket.all).toHaveLength(before + 1);
      last().ends(1006);
    }
    expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 16_000]);
    expect(states.at(-1)).toMatchObject({ state: 'closed', reason: 'gone' });
  });

  it('counts anew after each success', async () => {
    await open();
    last().ends(1006);
    jest.advanceTimersByTime(1_000);
    last().ends(1006);
    jest.advanceTimersByTime(2_000);
    last().says(HELLO);
    last().ends(1006);
    expect(states.at(-1)).toMatchObject({ state: 'waiting', inMs: 1_000 });
  });

  it('is not tried again with a key that is not accepted, and says why', async () => {
    const connected = socket.connect();
    last().says({ type: 'error', code: 'UNAUTHORIZED', message: 'No.', recoverable: false });
    last().ends(1008);
    expect(await connected).toBe(false);
    expect(states.at(-1)).toMatchObject({ state: 'closed', reason: 'give-up' });
    expect(states.at(-1).fatal.code).toBe('UNAUTHORIZED');
    jest.advanceTimersByTime(60_000);
    expect(FakeWebSocket.all).toHaveLength(1);
  });

  it('is tried at once when somebody asks', async () => {
    await open();
    last().ends(1006);
    void socket.connect();
    expect(FakeWebSocket.all).toHaveLength(2);
    jest.advanceTimersByTime(1_000);
    expect(FakeWebSocket.all).toHaveLength(2);
  });

  it('does not wait longer than 10 s for a server that says nothing', () => {
    void socket.connect();
    jest.advanceTimersByTime(10_000);
    expect(socket.state).toBe('waiting');
    expect(last().closedWith).toBe(1000);
  });

  it('hears nothing more of a socket that it has left', async () => {
    await open();
    const first = last();
    socket.close();
    expect(first.onmessage).toBeNull();
    expect(socket.state).toBe('closed');
    expect(states.at(-1).reason).toBe('left');
  });

  it('lets audio go that the network does not take, and counts it', async () => {
    await open();
    const pcm = new ArrayBuffer(3_200);
    socket.sendAudio(pcm);
    last().bufferedAmount = 400_000;
    socket.sendAudio(pcm);
    expect(last().sent).toEqual([pcm]);
    expect(socket.dropped).toBe(1);
  });

  it('leaves out what is no frame', async () => {
    await open();
    last().says('not JSON');
    last().says('null');
    last().says({ no: 'type' });
    expect(frames).toEqual(['info']);
  });
});
