// The words of `npm run bench -- …`.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type LinkSpec, parseLink } from './link-spec.ts'

export const help = `Measures psyblob and the tools people use now on the same images, in one run.

Usage: npm run bench -- [options]

  --work DIR     Where images and results are made and kept (./work/bench, about 35 GB while it runs)
  --runs N       Runs of each program; the tables show medians (3)
  --quick        One run, no image of 4 GB, no OSTree, no patches
  --link SPEC    The transfers only, over a link such as 80ms,100mbit between two network namespaces
  --trees        System files only; with what was measured of the rest before
  --patches      Patches only: made, applied, beside the other tools; with PSYBLOB_RELEASES=OLD,NEW also of two releases in
                 these folders, each with kernel, initramfs, squashfs, modloop. With --quick, of one way of packing, without OSTree
  --choice       With --patches: only what --prefer time chooses over links of 80 ms with 5, 20, 100 Mb/s and 1 Gb/s, or over --link
  --report       Measure nothing: print the tables of what was measured last
  --write-spec   Put tables and plot into spec/performance.md and spec/performance.svg; with --patches only their section
  --help
`

export type Options = {
  readonly work: string
  readonly runs: number
  readonly quick: boolean
  readonly link?: LinkSpec
  readonly trees: boolean
  readonly patches: boolean
  readonly choice: boolean
  /** Folders of two releases. */
  readonly releases?: readonly [string, string]
  readonly report: boolean
  readonly writeSpec: boolean
}

function readReleases(text: string | undefined): Pick<Options, 'releases'> {
  if (text === undefined || text === '') return {}
  const [old, next, ...more] = text.split(',')
  if (!old || !next || more.length > 0) throw new Error(`PSYBLOB_RELEASES: expected two folders, OLD,NEW, got ${text}`)
  return { releases: [resolve(old), resolve(next)] }
}

/** `undefined` when help is asked for. */
export function readOptions(argv: readonly string[], env: Readonly<Record<string, string | undefined>> = process.env): Options | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      work: { type: 'string', default: 'work/bench' },
      runs: { type: 'string' },
      quick: { type: 'boolean', default: false },
      link: { type: 'string' },
      trees: { type: 'boolean', default: false },
      patches: { type: 'boolean', default: false },
      choice: { type: 'boolean', default: false },
      report: { type: 'boolean', default: false },
      'write-spec': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return undefined
  const runs = Number(values.runs ?? (values.quick ? 1 : 3))
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs: expected a whole number above 0, got ${values.runs}`)
  if (values.choice && !values.patches) throw new Error('--choice goes with --patches')
  if (values.patches && values.link !== undefined && !values.choice) throw new Error('--patches --link: expected --choice with them')
  return {
    work: resolve(values.work),
    runs,
    quick: values.quick,
    trees: values.trees,
    patches: values.patches,
    choice: values.choice,
    ...readReleases(env['PSYBLOB_RELEASES']),
    report: values.report,
    writeSpec: values['write-spec'],
    ...(values.link === undefined ? {} : { link: parseLink(values.link) }),
  }
}
