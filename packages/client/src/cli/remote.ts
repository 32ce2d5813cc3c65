import { AUDIO_HELP, CONNECTION_HELP, type Command, SURVIVAL_HELP, UsageError } from './flags.ts';
import { runWarmup } from './warmup.ts';

export const remote: Command = {
  summary: 'warmup against a fleet elsewhere: wss unless the address says otherwise',
  help: `npm run client -- remote --server ADDRESS [flags]

The same as warmup for a fleet elsewhere. An address without a scheme is dialled with wss;
ws:// and http:// stay unencrypted. --server or VOXTRAL_SERVER must be given. A private
certificate authority goes into NODE_EXTRA_CA_CERTS.

${AUDIO_HELP}

${SURVIVAL_HELP}

${CONNECTION_HELP}`,
  run: async (args, io) => {
    const named = args.some((arg) => arg === '--server' || arg.startsWith('--server='));
    if (!named && !io.env['VOXTRAL_SERVER']) {
      throw new UsageError(
        'remote needs an address: pass --server wss://host or set VOXTRAL_SERVER.',
      );
    }
    return await runWarmup(args, io, { secureByDefault: true });
  },
};
