import { YAP_PATH } from '@voice-fleet/protocol/yap';
import { JobRefused, JobsUnreachable } from '../jobs-client.ts';
import { VoiceProtocolError, VoiceServerError } from '../voice-errors.ts';
import {
  YapConnectionClosed,
  YapProtocolError,
  YapRejected,
  YapResumeRefused,
  YapServerError,
  YapTimeout,
  YapUnreachable,
} from '../yap-errors.ts';

/** One sentence or two for a person at a shell: what happened and what to do next. */
export function explain(error: unknown, server: string, path: string = YAP_PATH): string {
  if (error instanceof YapRejected) return explainRejected(error, server);
  if (error instanceof YapServerError) {
    return `${server} answered with the error ${error.code}/${error.reasonCode}: ${error.message}`;
  }
  if (error instanceof YapResumeRefused) {
    return `The session was lost: ${error.message}`;
  }
  if (error instanceof JobRefused) {
    if (error.status === 401)
      return explainRejected(new YapRejected('auth', error.message), server);
    return `${server} refused it with ${error.code}: ${error.message}`;
  }
  if (error instanceof JobsUnreachable)
    return explainUnreachable(
      new YapUnreachable(error.message, { cause: error.cause }),
      server,
      path,
    );
  if (error instanceof VoiceServerError) return explainVoice(error, server);
  if (error instanceof YapUnreachable) return explainUnreachable(error, server, path);
  if (error instanceof YapTimeout) {
    return `${error.message} Is ${server} a voice-fleet gateway, and is it healthy? Ask its /healthz.`;
  }
  if (error instanceof YapConnectionClosed) {
    return `${error.message} The server or something between ended the session; run again, with --debug to see its last frames.`;
  }
  if (error instanceof YapProtocolError || error instanceof VoiceProtocolError) {
    return `${error.message} Check that ${server} points at ${path}.`;
  }
  return error instanceof Error ? error.message : String(error);
}

function explainRejected({ reason, message }: YapRejected, server: string): string {
  switch (reason) {
    case 'auth':
      return `${server} did not accept the API key: pass the right one with --voxtral-key or VOXTRAL_API_KEY.`;
    case 'limit':
    case 'quota':
      return `${server} did not admit the session: ${message}`;
    case 'capacity':
      return `${server} has no free slot: try again shortly, with less concurrency, or wait in line with --wait.`;
    case 'unavailable':
      return `${server} takes no sessions right now: ask its /readyz why, and try again shortly.`;
  }
}

function explainVoice({ code, message }: VoiceServerError, server: string): string {
  if (code === 'UNAUTHORIZED') return explainRejected(new YapRejected('auth', message), server);
  if (code === 'AT_CAPACITY') return `${server} takes no session right now: try again shortly.`;
  if (code === 'LIMIT_REACHED') return explainRejected(new YapRejected('limit', message), server);
  return `${server} ended the session with ${code}: ${message}`;
}

function explainUnreachable(error: YapUnreachable, server: string, path: string): string {
  const code = (error.cause as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ECONNREFUSED') {
    return `Nothing listens at ${server}: start the fleet with \`npm start\`, or name another address with --server.`;
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return `The host of ${server} is not known: check the address given with --server or VOXTRAL_SERVER.`;
  }
  if (error.httpStatus !== undefined) {
    return `${error.message} Check the path of ${server}; it should be ${path}.`;
  }
  return `Cannot connect to ${server} (${error.message}): check the address, and --secure if the server speaks TLS.`;
}
