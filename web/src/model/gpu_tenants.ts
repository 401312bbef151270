// Who is on a GPU, and what of it is used by nobody of Tessera's.
import type { Gpu, Part, Slices } from '../api/types';

export interface GpuTenant {
  name: string;
  part: Part;
}

export interface GpuUse {
  tenants: GpuTenant[]; // those with the largest promises first, which does not change all the time
  outsideBytes: number;
  outsidePermille: number;
  usedPermille: number; // of everybody
}

// Answers about the GPU and about its tenants are of different moments: what is less than a cell of the mosaic
// is not shown as somebody else's.
const LEAST_OUTSIDE = 1 / 200;

export function tenantsOf(gpu: Gpu, slices: Slices | null): GpuUse {
  const tenants = (slices?.slices ?? []).flatMap((slice) =>
    slice.parts.filter((part) => part.gpu === gpu.index).map((part) => ({ name: slice.name, part })),
  );
  const weight = ({ part }: GpuTenant): number =>
    (part.reserved ? part.limitBytes : 0) / Math.max(1, gpu.totalBytes) + part.entitledPermille / 1000;
  tenants.sort((a, b) => weight(b) - weight(a) || a.name.localeCompare(b.name, 'en', { numeric: true }));
  const ofTenants = tenants.reduce((sum, { part }) => sum + (part.residentBytes ?? part.usedBytes), 0);
  const outside = Math.max(0, (gpu.usedBytes ?? ofTenants) - ofTenants);
  const achieved = tenants.reduce((sum, { part }) => sum + part.achievedPermille, 0);
  const outsidePermille = (slices?.outside ?? [])
    .filter((process) => process.gpu === gpu.index)
    .reduce((sum, process) => sum + process.utilizationPercent * 10, 0);
  return {
    tenants,
    outsideBytes: outside < LEAST_OUTSIDE * gpu.totalBytes ? 0 : outside,
    outsidePermille: Math.min(1000, outsidePermille),
    usedPermille: Math.min(1000, achieved + outsidePermille),
  };
}
