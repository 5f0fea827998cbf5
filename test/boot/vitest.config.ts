import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes longest begins first, so that two machines have work until the end. */
const longest = ['power', 'debian', 'story', 'grub', 'initramfs', 'short', 'rootfs', 'images']

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => longest.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`))
    return files.toSorted((one, two) => rank(one) - rank(two))
  }
}

// machines boot under software emulation: nothing is quick, and each keeps about one core busy
export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ['test/boot/**/*.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 600_000,
    hookTimeout: 600_000,
    reporters: ['verbose', './test/closing-line.ts'],
    sequence: { sequencer: LongestFirst },
  },
})
