// What the commands that build have besides: the cache, the time that stands in what they build, a place to work in.
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { Option } from 'clipanion'
import { isPsyblobError, PsyblobError, visible } from '../core/mod.ts'
import { type Artifact, type BuildContext, openRun, requirePrograms, workBeside } from '../images/mod.ts'
import { codecText, encoderOf } from '../store/mod.ts'
import { BaseCommand } from './command.ts'
import { bytesText } from './ui/sizes.ts'

const encoded: readonly string[] = ['kernel', 'initramfs', 'squashfs', 'modloop']

export abstract class BuildCommand extends BaseCommand {
  cache = Option.String('--cache', { description: 'What the next build may use again ($XDG_CACHE_HOME/psyblob, else ~/.cache/psyblob)' })

  /** Runs `build` once `programs` are known to be there, with a place to work beside `out`, and prints what it left. */
  async built(
    out: string,
    { programs, build }: { readonly programs: readonly string[]; readonly build: (context: BuildContext) => Promise<readonly Artifact[]> },
  ): Promise<void> {
    const epoch = sourceDateEpoch(this.context.env['SOURCE_DATE_EPOCH'])
    await requirePrograms(programs)
    const { report } = this.ui
    const artifacts = await workBeside(out, (work) =>
      build({ run: openRun(report), report, epoch, work, cache: resolve(this.#cacheFolder()), signal: this.signal }),
    )
    const told: (Artifact & { readonly encoder?: string | null })[] = []
    for (const artifact of artifacts) told.push({ ...artifact, ...(await this.#encoder(artifact)) })
    this.ui.json({ out, artifacts: told })
    this.ui.table(
      told.map(({ path, size, encoder }) => [
        path,
        bytesText(size),
        encoder === undefined ? '' : encoder === null ? 'encoded by nobody known: no patches' : encoder,
      ]),
    )
  }

  /** Who encoded an image, for those of which patches are made: an encoder that nodes do not have makes none possible. */
  async #encoder({ name, path }: Artifact): Promise<{ readonly encoder?: string | null }> {
    if (!encoded.includes(name)) return {}
    // the image is there, whatever can be said of it
    const found = await encoderOf(path, this.ui.report).catch((error: unknown) => {
      if (!isPsyblobError(error)) throw error
      this.ui.report({ type: 'warning', text: `who encoded ${path} is not known: ${error.message}` })
      return undefined
    })
    if (found === undefined) return {}
    return { encoder: found.codec === undefined ? null : codecText(found.codec) }
  }

  #cacheFolder(): string {
    if (this.cache !== undefined) return this.cache
    const { env } = this.context
    return join(env['XDG_CACHE_HOME'] ?? join(env['HOME'] ?? homedir(), '.cache'), 'psyblob')
  }
}

/** SOURCE_DATE_EPOCH as reproducible-builds.org has it: seconds since 1970; 0 when it is not set. */
export function sourceDateEpoch(text: string | undefined): number {
  if (text === undefined || text === '') return 0
  if (/^\d{1,10}$/.test(text) && Number(text) < 2 ** 32) return Number(text)
  throw new PsyblobError('usage', `SOURCE_DATE_EPOCH is a number of seconds since 1970; got ${visible(text)}`, {
    hint: 'unset it, or give a number',
  })
}
