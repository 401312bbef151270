import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, storeToken, storedToken, TIMEOUT_MS } from '../api/client';
import { type Language, LOCALES, MESSAGES } from '../i18n';
import { alertKey, isFiring } from '../model/alerts';
import { formatAgo } from '../model/format';
import { parseRoute, type Route } from '../model/route';
import { alertText } from '../model/sentences';
import { loadLanguage, loadTheme, saveLanguage, saveTheme } from '../settings';
import { AlertList } from './alerts';
import {
  DataContext,
  HighlightContext,
  type NodeData,
  type Settings,
  SettingsContext,
  useData,
  useWords,
} from './context';
import { useNodeData } from './data';
import { EventTable } from './events';
import { GpuPage } from './gpu_page';
import { GpuTile } from './gpu_tile';
import { Header } from './header';
import { Empty, Section } from './parts';
import { Summary } from './summary';
import { TenantPage } from './tenant_page';
import { TenantTable } from './tenant_table';
import { Timeline } from './timeline';

const MOST_TENANTS = 20; // in the overview

function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const follow = (): void => setRoute(parseRoute(location.hash));
    window.addEventListener('hashchange', follow);
    return () => window.removeEventListener('hashchange', follow);
  }, []);
  return route;
}

function GpuTiles() {
  const { t } = useWords();
  const { gpus, slices } = useData();
  return (
    <Section id="gpus" title={t.gpu.heading} aside={<span class="quiet legend-note">{t.gpu.legend}</span>}>
      {gpus.data !== null && gpus.data.gpus.length === 0 && (
        <Empty title={t.gpu.none} hint={t.gpu.noneHint} />
      )}
      <div class="tiles">
        {gpus.data?.gpus.map((gpu) => (
          <GpuTile key={gpu.uuid || gpu.index} gpu={gpu} slices={slices.data} />
        ))}
      </div>
    </Section>
  );
}

function Overview() {
  return (
    <>
      <Summary />
      <GpuTiles />
      <Timeline />
      <TenantTable most={MOST_TENANTS} />
      <div class="columns">
        <AlertList most={5} />
        <EventTable most={8} />
      </div>
    </>
  );
}

function Page(props: { route: Route }) {
  const { route } = props;
  switch (route.page) {
    case 'overview':
      return <Overview />;
    case 'tenants':
      return <TenantTable />;
    case 'tenant':
      return <TenantPage key={route.name} name={route.name} />;
    case 'gpu':
      return <GpuPage key={route.index} index={route.index} />;
    case 'alerts':
      return <AlertList />;
    case 'events':
      return <EventTable />;
  }
}

function TokenForm() {
  const { t } = useWords();
  const { retry } = useData();
  const [token, setToken] = useState('');
  return (
    <form
      class="token"
      onSubmit={(event) => {
        event.preventDefault();
        storeToken(token.trim());
        retry();
      }}
    >
      <h1>{t.token.title}</h1>
      <p>{t.token.body}</p>
      {storedToken() !== '' && (
        <p class="problem" role="alert">
          {t.token.wrong}
        </p>
      )}
      <label>
        {t.token.label}
        <input
          type="password"
          autocomplete="off"
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={token.trim() === ''}>
        {t.token.send}
      </button>
    </form>
  );
}

// What went wrong with asking, above the last figures that there are.
function Trouble(props: { error: ApiError }) {
  const { t, locale } = useWords();
  const { slices, gpus, now, retry } = useData();
  const at = slices.at ?? gpus.at;
  const { kind, message } = props.error;
  const why =
    kind === 'late' ? t.lost.late(TIMEOUT_MS / 1000) : kind === 'unreachable' ? t.lost.unreachable : message;
  return (
    <div class="banner bad" role="alert">
      <b>{t.lost.title}</b>
      <span>{at === null ? t.lost.never(why) : t.lost.body(why, formatAgo(now - at, locale))}</span>
      <button type="button" onClick={retry}>
        {t.lost.retry}
      </button>
    </div>
  );
}

// Says to screen readers which alerts began to fire since the page was opened.
function Announcer() {
  const { t, locale } = useWords();
  const { alerts } = useData();
  const known = useRef<Set<string> | null>(null);
  const [text, setText] = useState('');
  useEffect(() => {
    if (alerts.data === null) return;
    const firing = alerts.data.alerts.filter(isFiring);
    const fresh = firing.filter((alert) => known.current !== null && !known.current.has(alertKey(alert)));
    known.current = new Set(firing.map(alertKey));
    if (fresh.length > 0)
      setText(
        fresh
          .map((alert) => t.alerts.fired(`${alert.rule}${t.alerts.says.colon}${alertText(alert, t, locale)}`))
          .join('. '),
      );
  }, [alerts.data]);
  return (
    <p class="visually-hidden" role="status">
      {text}
    </p>
  );
}

function Body(props: { route: Route; data: NodeData }) {
  const { t } = useWords();
  const { gpus, slices } = props.data;
  const error = slices.error ?? gpus.error;
  if (error?.kind === 'unauthorized') return <TokenForm />;
  return (
    <>
      {error && <Trouble error={error} />}
      {!error && gpus.data?.problem && (
        <div class="banner warn" role="status">
          {t.oldFigures(gpus.data.problem)}
        </div>
      )}
      {props.route.page !== 'tenant' && props.route.page !== 'gpu' && (
        <h1 class="visually-hidden">{t.nav[props.route.page]}</h1>
      )}
      <Page route={props.route} />
    </>
  );
}

function useSettingsState(): Settings {
  const [language, setLanguage] = useState<Language>(loadLanguage);
  const [theme, setTheme] = useState(loadTheme);
  useEffect(() => {
    document.documentElement.lang = LOCALES[language];
    saveLanguage(language);
  }, [language]);
  return useMemo(
    () => ({
      language,
      theme,
      setLanguage,
      // Before anything is drawn anew: charts read their colours from the document.
      setTheme: (next) => {
        saveTheme(next);
        setTheme(next);
      },
    }),
    [language, theme],
  );
}

export function App() {
  const settings = useSettingsState();
  const data = useNodeData();
  const route = useRoute();
  const [highlighted, setHighlighted] = useState<string | null>(null);
  const highlight = useMemo(() => ({ name: highlighted, set: setHighlighted }), [highlighted]);
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  const t = MESSAGES[settings.language];
  const place =
    route.page === 'tenant'
      ? route.name
      : route.page === 'gpu'
        ? t.gpu.title(route.index)
        : t.nav[route.page];
  const firing = data.alerts.data?.alerts.filter(isFiring).length ?? 0;
  useEffect(() => {
    document.title = `${firing > 0 ? `(${firing}) ` : ''}${place} · Tessera`;
  }, [place, firing]);
  useEffect(() => {
    setHighlighted(null);
    if (!isFirst.current) {
      window.scrollTo(0, 0);
      main.current?.focus({ preventScroll: true });
    }
    isFirst.current = false;
  }, [JSON.stringify(route)]);
  return (
    <SettingsContext.Provider value={settings}>
      <DataContext.Provider value={data}>
        <HighlightContext.Provider value={highlight}>
          <a
            class="skip"
            href="#main"
            onClick={(event) => {
              event.preventDefault();
              main.current?.focus();
            }}
          >
            {t.skip}
          </a>
          <Header route={route} info={data.info} />
          <main id="main" ref={main} tabIndex={-1} aria-label={place}>
            <Body route={route} data={data} />
          </main>
          <footer>
            Tessera {data.info?.version}
            {data.gpus.data && (
              <span>{[data.gpus.data.driverKind, data.gpus.data.driverVersion].join(' ')}</span>
            )}
          </footer>
          <Announcer />
        </HighlightContext.Provider>
      </DataContext.Provider>
    </SettingsContext.Provider>
  );
}
