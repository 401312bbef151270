import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './style/tokens.css';
import './style/page.css';
import './style/tile.css';
import './style/table.css';
import './style/chart.css';
import { App } from './view/app';

render(<App />, document.getElementById('app')!);
