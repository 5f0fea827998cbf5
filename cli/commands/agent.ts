// psyblob agent
import { setTimeout as sleep } from 'node:timers/promises'
import { Command, Option } from 'clipanion'
import { exitCodes, exitNo, isPsyblobError } from '../../core/mod.ts'
import { componentOf, parseDuration, parseRebootWindow, runAgent } from '../../images/mod.ts'
import { NodeCommand } from '../node-command.ts'
import { resultJson, resultText } from '../result-text.ts'

export class Agent extends NodeCommand {
  static override paths = [['agent']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Do all that an unattended machine has to: health checks, updates, reboots',
    details:
      'After a boot it runs the executables in the health folder, again until all pass. Then it marks the booted slot good, ends the watchdog of the initramfs, and syncs every product with slots on a timer. Checks that do not pass in time reboot a slot that was never good, so that the boot loader counts its tries and falls back; with a good slot they are told and no more. It ends when it reboots, or when it is told to.',
    examples: [
      ['As a service', '$0 agent --every 1h --jitter 10m --reboot 02:00-04:00'],
      ['Once, from a timer of your own', '$0 agent --once --reboot never'],
    ],
  })

  isOnce = Option.Boolean('--once', false, { description: 'Health, mark, one sync; wait for nothing else' })
  every = Option.String('--every', '1h', { description: 'Time between two syncs (1h)' })
  jitter = Option.String('--jitter', '10m', { description: 'At most so much is added, at random: not all machines ask at once (10m)' })
  window = Option.String('--reboot', 'always', { description: 'When to reboot into an update: always, never, or HH:MM-HH:MM (always)' })
  patience = Option.String('--patience', '5m', { description: 'How long health checks may go on failing (5m)' })
  healthDir = Option.String('--health-dir', '/etc/psyblob/health.d', { description: 'Folder of the checks (/etc/psyblob/health.d)' })
  healthTime = Option.String('--health-time', '60s', { description: 'What one check may take; then it is killed (60s)' })

  async work(): Promise<number> {
    const options = {
      healthDir: this.healthDir,
      healthTime: parseDuration('--health-time', this.healthTime),
      patience: parseDuration('--patience', this.patience),
      every: Math.max(1000, parseDuration('--every', this.every)),
      jitter: parseDuration('--jitter', this.jitter),
      window: parseRebootWindow('--reboot', this.window),
      once: this.isOnce,
    }
    const node = await this.node()
    try {
      const { failing, synced, error, rebooting } = await runAgent(node, options, {
        random: Math.random,
        sleep: (milliseconds, signal) =>
          sleep(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(() => signal?.throwIfAborted()),
        say: (text) => this.ui.say(text),
        tell: (problem, product) => this.ui.tell(problem, product),
        synced: (result) => {
          this.ui.data(resultText(result, false))
          // once, and not every hour
          this.sayOneKey(node, [componentOf(node, result.product)])
        },
      })
      this.ui.json({
        healthy: failing === undefined,
        failing: failing ?? null,
        synced: synced.map((one) => resultJson(one, false)),
        rebooting,
      })
      if (error !== undefined) return exitCodes[error.code]
      return failing === undefined || rebooting ? 0 : exitNo
    } catch (error) {
      // a service that is told to end has done its work
      if (!this.isOnce && isPsyblobError(error, 'interrupted')) return 0
      throw error
    }
  }
}
