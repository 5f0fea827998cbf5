// Every attack, on a node that follows roots.
import { tryAttacks } from './trial.ts'

tryAttacks('root')
