// psyblob serve
import { once } from 'node:events'
import { Command, Option } from 'clipanion'
import { serve } from '../../store/mod.ts'
import { BaseCommand, wholeNumber } from '../command.ts'

export class Serve extends BaseCommand {
  static override paths = [['serve']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Serve a repository folder over HTTP: for a laptop, a LAN, a test',
    details:
      'Read-only, with ranges, without listings. Prints its address on stdout when it is ready, and runs until it is interrupted. For the open internet put the folder on a real web server: every file in it is static.',
    examples: [
      ['On this machine only', '$0 serve ./repo'],
      ['For the LAN', '$0 serve ./repo --host 0.0.0.0 --port 8080'],
    ],
  })

  dir = Option.String({ name: 'DIR', required: false })
  host = Option.String('--host', '127.0.0.1', { description: 'Address to listen on' })
  port = Option.String('--port', '8080', { description: 'Port; 0 takes any free one' })

  async work(): Promise<void> {
    const served = await serve({
      dir: this.dir ?? '.',
      host: this.host,
      port: wholeNumber('--port', this.port, { least: 0, most: 65535 }),
      report: this.ui.report,
    })
    this.ui.json({ url: served.url })
    this.ui.data(`${served.url}\n`)
    if (!this.signal.aborted) await once(this.signal, 'abort')
    await served.close()
  }
}
