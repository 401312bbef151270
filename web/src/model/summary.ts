// A node's figures as one.
import type { Gpus, Slices } from '../api/types';
import { tenantsOf } from './gpu_tenants';

export interface Summary {
  gpus: number;
  gpusOk: number;
  tenants: number;
  processes: number;
  usedBytes: number;
  totalBytes: number;
  busyPermille: number; // of all GPUs that work
  longestWait: { name: string; ns: number } | null;
}

export function summarize(gpus: Gpus | null, slices: Slices | null): Summary {
  const all = gpus?.gpus ?? [];
  const ok = all.filter((gpu) => gpu.state === 'ok');
  const busy = ok.reduce((sum, gpu) => sum + tenantsOf(gpu, slices).usedPermille, 0);
  let longestWait: Summary['longestWait'] = null;
  for (const slice of slices?.slices ?? []) {
    for (const part of slice.parts) {
      if (part.waitP99Ns !== null && part.waitP99Ns > (longestWait?.ns ?? 0)) {
        longestWait = { name: slice.name, ns: part.waitP99Ns };
      }
    }
  }
  return {
    gpus: all.length,
    gpusOk: ok.length,
    tenants: slices?.slices.length ?? 0,
    processes: (slices?.slices ?? []).reduce((sum, slice) => sum + slice.processes.length, 0),
    usedBytes: all.reduce((sum, gpu) => sum + (gpu.usedBytes ?? 0), 0),
    totalBytes: all.reduce((sum, gpu) => sum + gpu.totalBytes, 0),
    busyPermille: ok.length > 0 ? busy / ok.length : 0,
    longestWait,
  };
}
