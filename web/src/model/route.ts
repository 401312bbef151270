// Where in the page one is, as the part of the address behind '#'.

export type Route =
  | { page: 'overview' }
  | { page: 'tenants' }
  | { page: 'tenant'; name: string }
  | { page: 'gpu'; index: number }
  | { page: 'alerts' }
  | { page: 'events' };

export function parseRoute(hash: string): Route {
  const [page, ...rest] = hash.replace(/^#\/?/, '').split('/');
  const argument = decode(rest.join('/'));
  if (page === 'tenants' && argument) return { page: 'tenant', name: argument };
  if (page === 'tenants') return { page: 'tenants' };
  if (page === 'gpus' && /^\d{1,4}$/.test(argument)) return { page: 'gpu', index: Number(argument) };
  if (page === 'alerts' || page === 'events') return { page };
  return { page: 'overview' };
}

export function routeHash(route: Route): string {
  switch (route.page) {
    case 'overview':
      return '#/';
    case 'tenant':
      return `#/tenants/${encodeURIComponent(route.name)}`;
    case 'gpu':
      return `#/gpus/${route.index}`;
    default:
      return `#/${route.page}`;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
