// A link as it is written on the command line.

/** Round trip in milliseconds, rate in bits a second. */
export type LinkSpec = { readonly roundTrip: number; readonly rate: number }

const units: Readonly<Record<string, number>> = { kbit: 1e3, mbit: 1e6, gbit: 1e9 }

/** Reads `80ms,100mbit`. */
export function parseLink(text: string): LinkSpec {
  const match = /^(\d+(?:\.\d+)?)ms,(\d+(?:\.\d+)?)([kmg]bit)$/.exec(text)
  const spec = { roundTrip: Number(match?.[1]), rate: Number(match?.[2]) * (units[match?.[3] ?? ''] ?? Number.NaN) }
  if (!(spec.roundTrip >= 0 && spec.rate > 0)) throw new Error(`expected a link such as 80ms,100mbit, got ${text}`)
  return spec
}

/** `80ms,100mbit` again. */
export function formatLink({ roundTrip, rate }: LinkSpec): string {
  const unit = rate >= 1e9 ? 'gbit' : rate >= 1e6 ? 'mbit' : 'kbit'
  return `${roundTrip}ms,${rate / (units[unit] ?? 1)}${unit}`
}
