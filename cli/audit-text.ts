// How the findings of an audit are told: each bad file, and where it is bad.
import { visible } from '../core/mod.ts'
import type { Audit } from '../images/mod.ts'
import { bytesText, countText } from './ui/sizes.ts'

type Findings = Audit['findings']

function findingLines(findings: Findings): readonly string[] {
  return findings.map(({ path, problem, why, ranges, expected, got }) => {
    const where =
      ranges === undefined || ranges.length === 0
        ? ''
        : `, ${ranges
            .slice(0, 8)
            .map(({ offset, length }) => `bytes ${offset}-${offset + length - 1}`)
            .join(', ')}${ranges.length > 8 ? ` and ${countText(ranges.length - 8, 'more range')}` : ''}`
    const cids = got === undefined ? '' : ` (expected ${expected}, got ${got})`
    return `  ${visible(path)}: ${problem}${why === undefined ? '' : `: ${visible(why)}`}${where}${cids}\n`
  })
}

export function auditText({ product, place, serial, version, bytes, findings, error }: Audit): string {
  const name = serial === null ? product : `${product} ${serial}${version === null ? '' : ` (${visible(version)})`}`
  if (error !== undefined) return `${visible(place)}: ${error.code}: ${visible(error.message)}\n${findingLines(findings).join('')}`
  const verdict =
    findings.length === 0
      ? `every byte is as signed, ${bytesText(bytes)}`
      : `${countText(findings.length, 'problem')} in ${bytesText(bytes)}`
  return `${visible(place)}: ${name}: ${verdict}\n${findingLines(findings).join('')}`
}
