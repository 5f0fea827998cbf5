// The words of `npm run bench -- …`.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type LinkSpec, parseLink } from './link-spec.ts'

export const help = `Measures psyblob and the tools people use now on the same images, in one run.

Usage: npm run bench -- [options]

  --work DIR     Where images and results are made and kept (./work/bench, about 35 GB while it runs)
  --runs N       Runs of each program; the tables show medians (3)
  --quick        One run, no image of 4 GB, no OSTree
  --link SPEC    The transfers only, over a link such as 80ms,100mbit between two network namespaces
  --trees        System files only; with what was measured of the rest before
  --report       Measure nothing: print the tables of what was measured last
  --write-spec   Put tables and plot into spec/performance.md and spec/performance.svg
  --help
`

export type Options = {
  readonly work: string
  readonly runs: number
  readonly quick: boolean
  readonly link?: LinkSpec
  readonly trees: boolean
  readonly report: boolean
  readonly writeSpec: boolean
}

/** `undefined` when help is asked for. */
export function readOptions(argv: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      work: { type: 'string', default: 'work/bench' },
      runs: { type: 'string' },
      quick: { type: 'boolean', default: false },
      link: { type: 'string' },
      trees: { type: 'boolean', default: false },
      report: { type: 'boolean', default: false },
      'write-spec': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return undefined
  const runs = Number(values.runs ?? (values.quick ? 1 : 3))
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs: expected a whole number above 0, got ${values.runs}`)
  return {
    work: resolve(values.work),
    runs,
    quick: values.quick,
    trees: values.trees,
    report: values.report,
    writeSpec: values['write-spec'],
    ...(values.link === undefined ? {} : { link: parseLink(values.link) }),
  }
}
