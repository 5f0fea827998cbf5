// Numbers as people read them.

/** The middle one; of an even count the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  const upper = sorted[half]
  const lower = sorted[sorted.length - 1 - half]
  if (upper === undefined || lower === undefined) throw new Error('expected at least one value, got none')
  return (lower + upper) / 2
}

export const seconds = (value: number): string => `${value.toFixed(value < 0.995 ? 3 : value < 99.5 ? 2 : 0)} s`
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 9.995e6 ? 2 : 1)} MB`
export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`
export const rate = (bytes: number, time: number): string => `${(bytes / 1e6 / time).toFixed(0)} MB/s`
export const times = (ratio: number): string => `${ratio.toFixed(2)} ×`
export const count = (value: number): string => value.toFixed(0).replace(/\B(?=(\d{3})+$)/g, ',')
