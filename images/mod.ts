// images: what bytes do to machines. Knows core and store.
export type { PlanLine } from './apply.ts'
export { type Checked, check } from './check.ts'
export { activate, type Choice, mark, rollback } from './choice.ts'
export { type Collected, collect } from './collect.ts'
export {
  type AppliedProduct,
  applyProduct,
  type DownloadedProduct,
  downloadProduct,
  type RefreshedProduct,
  refreshProduct,
} from './fetching.ts'
export {
  componentOf,
  componentsOf,
  defaultCompat,
  type Node,
  type NodeOptions,
  openNode,
  openSource,
  slotComponentsOf,
  trustOf,
} from './node.ts'
export { openRun, type Run } from './run.ts'
export { type SlotName, slotNames } from './slot.ts'
export { type SlotStatus, type Status, status } from './status.ts'
export { type Synced, sync } from './sync.ts'
export { type Audit, type Repaired, repair, verifyRemotes, verifySlots, verifyStore } from './verify.ts'
