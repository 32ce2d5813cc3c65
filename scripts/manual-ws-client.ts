// One utterance on the voice pipeline by hand: prints every event with its time and checks their order.
import { runProcess } from '@voice-fleet/client/cli/process';

await runProcess(['manual', ...process.argv.slice(2)]);
