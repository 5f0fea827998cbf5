// images: what bytes do to machines. Knows core and store.
export { runAgent } from './agent.ts'
export type { PlanLine } from './apply.ts'
export { checkOutFile, workBeside } from './builders/aside.ts'
export type { Artifact, BuildContext } from './builders/builder.ts'
export { buildDisk, diskPrograms } from './builders/disk.ts'
export { mebibyte } from './builders/disk-layout.ts'
export { buildEfisys, defaultEfisys, efisysPrograms } from './builders/efisys.ts'
export { initramfs } from './builders/initramfs.ts'
export { buildIso, isoPrograms } from './builders/iso.ts'
export { buildKernel, kernelPrograms } from './builders/kernel.ts'
export { buildOs, osPrograms } from './builders/os.ts'
export { programEntries } from './builders/program.ts'
export { readRecipe } from './builders/read-recipe.ts'
export type { Recipe } from './builders/recipe.ts'
export { rootfs, rootfsPrograms } from './builders/rootfs.ts'
export { buildSecret, type SecretOptions, secretPrograms } from './builders/secret.ts'
export type { SourceOptions } from './builders/signed-release.ts'
export { defaultSquashfs, squashfs, squashfsPrograms } from './builders/squashfs.ts'
export { type Checked, check } from './check.ts'
export { activate, type Choice, mark, rollback } from './choice.ts'
export { type Collected, collect } from './collect.ts'
export { parseDuration } from './duration.ts'
export { applyEfiProduct, checkEfi, type EfiResult, type EfiStatus, syncEfi, verifyEfi } from './efi-product.ts'
export {
  type AppliedProduct,
  applyProduct,
  type DownloadedProduct,
  downloadProduct,
  type RefreshedProduct,
  refreshProduct,
} from './fetching.ts'
export { type Held, hold, unhold } from './hold.ts'
export {
  componentOf,
  componentsOf,
  defaultCompat,
  isOfOneKey,
  type Node,
  type NodeOptions,
  openNode,
  openSource,
  trustOf,
} from './node.ts'
export { parseRebootWindow } from './reboot-window.ts'
export { openRun, type Run, requirePrograms } from './run.ts'
export { type SlotName, slotNames } from './slot.ts'
export { type SlotStatus, type Status, status } from './status.ts'
export { type Synced, sync } from './sync.ts'
export type { TreeResult } from './tree/installation.ts'
export { repairTrees } from './tree/repair.ts'
export { licenceOf, sourceOf } from './tree/source.ts'
export { checkTreeProduct, type TreeStatus, verifyTree } from './tree/tree-audit.ts'
export { applyTree, rollbackTree, syncTree } from './tree/tree-product.ts'
export { type Audit, type Repaired, repair, verifyRemotes, verifySlots, verifyStore } from './verify.ts'
export { runVm } from './vm.ts'
export { type Why, why } from './why.ts'
export { xzCompressor, xzStreams } from './xz.ts'
