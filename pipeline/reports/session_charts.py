"""Charts of single sessions: candles, the profile and levels of the session before, and a backtest's trades.

All sessions travel as one compressed block of a few hundred kilobytes, which the reader's browser unpacks and draws.
"""

import base64
import gzip
import json
from typing import Any

import numpy as np
import pandas as pd

from pipeline.market import label_sessions
from pipeline.profiles import composite_levels
from pipeline.reports.charts import CONFIG, fade, packed, restyle
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.theme import BAD, FADED, GOOD, INK, STRATEGY_COLORS

__all__ = ["CANDLES", "CHART_HEIGHT", "SESSIONS", "panel", "session_charts", "session_data"]

CANDLES = 80
"""Of a session at most; where there are more bars, neighbours are put together."""
SESSIONS = 2600
"""The latest ones that travel, ten years."""
CHART_HEIGHT = 460
_PANEL_HEIGHT = 240
_STEPS = 60  # of a profile
_PRICES = ("open", "high", "low", "close")
_SCRIPT = """
const sessionCharts=(async()=>{
const config=__CONFIG__,layout=__LAYOUT__,colors=__COLORS__;
const bytes=Uint8Array.from(atob(document.getElementById('session-data').textContent),c=>c.charCodeAt(0));
const unpacked=new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
const data=JSON.parse(await new Response(unpacked).text());
const starts=[0];data.counts.forEach(n=>starts.push(starts[starts.length-1]+n));
const clock=minute=>new Date(minute*60000).toISOString().slice(0,16).replace('T',' ');
const figures=new Intl.NumberFormat('en-US',{minimumFractionDigits:2,maximumFractionDigits:2});
const money=x=>(x<0?'−':'')+data.currency+figures.format(Math.abs(x));
function draw(place,s,book,small){
 const from=starts[s],n=data.counts[s],x=[],price={open:[],high:[],low:[],close:[]};
 let minute=data.begins[s],last=0;
 for(let i=from;i<from+n;i++){minute+=data.minutes[i];x.push(clock(minute));
  const open=last+data.gap[i],close=open+data.body[i];last=close;
  price.open.push(open*data.tick);price.close.push(close*data.tick);
  price.high.push((Math.max(open,close)+data.above[i])*data.tick);
  price.low.push((Math.min(open,close)-data.below[i])*data.tick);}
 const step=n>1?data.minutes[from+1]:5,begin=data.begins[s]-step,end=minute+step,ends=[clock(begin),clock(end)];
 const trades=data.trades[book].filter(t=>t[0]===s),levels=data.levels[s],profile=data.profiles[s];
 const wanted=trades.flatMap(t=>[t[5],t[6]]).filter(y=>y!==null);
 const seen=[...price.low,...price.high,...wanted,...(small||!levels?[]:levels)];
 const low=Math.min(...seen),high=Math.max(...seen),edge=.06*(high-low)||data.tick;
 const line=(name,y,look)=>({type:'scatter',mode:'lines',name:name,x:ends,y:[y,y],line:look,
  hovertemplate:name+': %{y:,}<extra></extra>'});
 const traces=[],shapes=[];
 if(profile){const [bottom,height,...shares]=profile,xs=[ends[0]],ys=[(bottom-.5)*data.tick];
  shares.forEach((share,k)=>{const width=clock(begin+.003*share*(end-begin));
   xs.push(width,width);ys.push((bottom+k*height-.5)*data.tick,(bottom+(k+1)*height-.5)*data.tick);});
  traces.push({type:'scatter',mode:'lines',name:'prior profile',x:[...xs,ends[0]],y:[...ys,ys[ys.length-1]],
   fill:'toself',fillcolor:colors.profile,line:{width:0},hoverinfo:'skip'});}
 traces.push({type:'candlestick',name:'bars',showlegend:false,x:x,...price,hoverinfo:small?'skip':'all',
  increasing:{line:{color:colors.faded,width:1},fillcolor:'#fff'},
  decreasing:{line:{color:colors.faded,width:1},fillcolor:colors.faded}});
 if(levels){shapes.push({type:'rect',layer:'below',xref:'paper',x0:0,x1:1,y0:levels[0],y1:levels[2],
   fillcolor:colors.band,line:{width:0}});
  traces.push(line('prior VAL',levels[0],{color:colors.blue,width:small?0:1}),
   line('prior VPOC',levels[1],{color:colors.blue,width:1.4,dash:'dash'}),
   line('prior VAH',levels[2],{color:colors.blue,width:small?0:1}));}
 trades.forEach((t,k)=>{const [,side,quantity,entered,entry,stop,target,left,exit,reason,multiple,pnl]=t;
  const first=k===0,color=pnl>0?colors.good:colors.bad,way=(side>0?'long ':'short ')+quantity;
  const text=way+' × '+entry.toLocaleString('en-US')+' → '+exit.toLocaleString('en-US')+', '+reason+'<br>'+
   money(pnl)+(multiple===null?'':', '+figures.format(multiple).replace('-','−')+' R');
  traces.push({...line('stop',stop,{color:colors.bad,width:1.1,dash:'dot'}),legendgroup:'stop',showlegend:first},
   {...line('target',target,{color:colors.good,width:1.1,dash:'dot'}),legendgroup:'target',showlegend:first},
   {type:'scatter',mode:'lines+markers',name:way,x:[clock(entered),clock(left)],y:[entry,exit],
    line:{color:colors.ink,width:1.6},text:[text,text],hovertemplate:'%{x|%H:%M}: %{text}<extra></extra>',
    marker:{opacity:1,size:[12,9],color:[colors.ink,color],symbol:[side>0?'triangle-up':'triangle-down','circle']}});});
 const xaxis={...layout.xaxis,range:ends},yaxis={...layout.yaxis,range:[low-edge,high+edge]};
 const own={...layout,shapes:shapes,xaxis:xaxis,yaxis:yaxis};
 if(small){own.height=__PANEL__;own.showlegend=false;own.margin={l:52,r:8,t:4,b:40};
  xaxis.nticks=5;yaxis.nticks=6;}
 Plotly.react(place,traces,own,config);
 const made=money(trades.reduce((sum,t)=>sum+t[11],0));
 return trades.length?trades.length+(trades.length>1?' trades, ':' trade, ')+made:'no trade';
}
document.querySelectorAll('details:has(.session)').forEach(fold=>{
 const fill=()=>{if(fold.open)fold.querySelectorAll('.session:empty').forEach(
  place=>draw(place,data.sessions.indexOf(place.dataset.session),+place.dataset.strategy,true));};
 fill();fold.addEventListener('toggle',fill);});
return {data,draw};
})();
"""


def panel(session: pd.Timestamp, strategy: int) -> str:
    """A place in a fold of the page that shows a session with the trades of the strategy so far down by interest."""
    return f'<div class="session" data-session="{_day(session)}" data-strategy="{strategy}"></div>'


def session_charts(inputs: ReportInputs) -> str:
    """The sessions, and the script that draws those of the panels above it.

    It leaves ``sessionCharts``, a promise of ``data`` as :func:`session_data` makes it, and ``draw(element, place of
    the session, place of the strategy, small)``, which says what the trades made.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_xaxes(type="date", tickformat="%H:%M", rangeslider={"visible": False}, showgrid=False)
    figure.update_yaxes(tickformat=",.10~g")
    restyle(figure, height=CHART_HEIGHT, simulated=inputs.simulated)
    colors = {"faded": FADED, "ink": INK, "good": GOOD, "bad": BAD, "blue": STRATEGY_COLORS[0]}
    colors |= {"band": fade(STRATEGY_COLORS[0], 0.08), "profile": fade(STRATEGY_COLORS[0], 0.3)}
    script = _SCRIPT
    for place, part in {
        "__CONFIG__": CONFIG,
        "__LAYOUT__": json.loads(figure.to_json(engine="json"))["layout"],
        "__COLORS__": colors,
        "__PANEL__": _PANEL_HEIGHT,
    }.items():
        script = script.replace(place, packed(part))
    content = json.dumps(session_data(inputs), separators=(",", ":")).encode()
    # mtime is part of the format: without it the same inputs would not give the same bytes.
    block = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
    return f'<script type="text/plain" id="session-data">{block}</script>\n<script>{script}</script>'


def session_data(inputs: ReportInputs) -> dict[str, Any]:
    """Everything the charts can show, as JSON holds it.

    Returns
    -------
    dict
        ``sessions`` (dates), ``begins`` (minute of the first candle by the exchange's wall clock, counted from 1970),
        ``counts`` (candles of each session), ``minutes`` (from one candle to the next, 0 for a session's first),
        in ticks ``gap`` (open less the close of the candle before; the open itself for a session's first), ``body``
        (close less open), ``above`` and ``below`` (what high and low reach beyond both), ``tick`` (size), ``levels``
        (VAL, VPOC, VAH of the session with a profile before; None for the first), ``profiles`` (of that session: its
        lowest tick, ticks of a step, and the volume or TPOs of each step in percent of the most; None for the
        first), ``strategies``, ``trades`` (of each: session's place, side, quantity, entry minute, price, stop,
        target, exit minute, price, reason, R, P&L; None for a level that there is not), ``currency``.
    """
    instrument, profiles = inputs.instrument, inputs.profiles
    labels = label_sessions(pd.DatetimeIndex(inputs.bars["timestamp"]), instrument)
    # Without volume there may be trades, but no profile.
    held = labels.mask(inputs.settings.hours) & (labels.sessions >= profiles.index[-SESSIONS:][0])
    bars, owner = inputs.bars[held], labels.sessions[held]
    sessions, place, size = np.unique(owner.to_numpy(), return_inverse=True, return_counts=True)
    first = np.append(0, size.cumsum()[:-1]).astype(np.int64)
    inside = np.arange(len(bars)) - first[place]
    group = -(-size // CANDLES)
    starts = np.flatnonzero(inside % group[place] == 0)
    ticks = {name: instrument.to_ticks(bars[name].to_numpy(np.float64)) for name in _PRICES}
    minutes = _minutes(pd.DatetimeIndex(bars["timestamp"]), instrument.time_zone)[starts]
    heads = np.searchsorted(starts, first)
    since = np.diff(minutes, prepend=minutes[:1])
    since[heads] = 0
    ends = np.append(starts[1:], len(bars)) - 1
    opens, closes = ticks["open"][starts], ticks["close"][ends]
    highs, lows = np.maximum.reduceat(ticks["high"], starts), np.minimum.reduceat(ticks["low"], starts)
    gap = opens - np.append(0, closes[:-1])
    gap[heads] = opens[heads]
    before = profiles.index.searchsorted(pd.DatetimeIndex(sessions)) - 1
    levels = profiles[["val", "vpoc", "vah"]].to_numpy(np.float64)
    outlines = _outlines(inputs, profiles.index[np.unique(before[before >= 0])])
    return {
        "sessions": [_day(session) for session in pd.DatetimeIndex(sessions)],
        "begins": minutes[heads].tolist(),
        "counts": np.diff(np.append(heads, len(starts))).tolist(),
        "minutes": since.tolist(),
        "gap": gap.tolist(),
        "body": (closes - opens).tolist(),
        "above": (highs - np.maximum(opens, closes)).tolist(),
        "below": (np.minimum(opens, closes) - lows).tolist(),
        "tick": instrument.tick_size,
        "levels": [levels[row].tolist() if row >= 0 else None for row in before],
        "profiles": [outlines.get(profiles.index[row]) if row >= 0 else None for row in before],
        "strategies": inputs.by_interest,
        "trades": [_trades(inputs.trades[name], pd.DatetimeIndex(sessions)) for name in inputs.by_interest],
        "currency": inputs.currency if inputs.currency == "$" else f"{inputs.currency} ",
    }


def _trades(trades: pd.DataFrame, sessions: pd.DatetimeIndex) -> list[list[Any]]:
    place = sessions.get_indexer(pd.DatetimeIndex(trades["session"]))
    entered, left = (_minutes(pd.DatetimeIndex(trades[name]), None).tolist() for name in ("entry_time", "exit_time"))
    found = []
    for k, trade in enumerate(trades.itertuples()):
        if place[k] >= 0:
            side = 1 if trade.side == "long" else -1
            prices = (trade.entry_price, _known(trade.stop), _known(trade.target))
            reason = trade.exit_reason.replace("_", " ")
            out = (left[k], trade.exit_price, reason, _known(round(trade.r_multiple, 2)), round(trade.pnl, 2))
            found.append([int(place[k]), side, int(trade.quantity), entered[k], *prices, *out])
    return found


def _known(value: float) -> float | None:
    """A level that an order need not have."""
    return None if np.isnan(value) else value


def _outlines(inputs: ReportInputs, sessions: pd.DatetimeIndex) -> dict[pd.Timestamp, list[int]]:
    """Profiles of sessions as ``profiles`` of :func:`session_data` holds them."""
    instrument, settings = inputs.instrument, inputs.settings
    profile = settings.profile(instrument)
    levels = composite_levels(inputs.bars, instrument, by=1, **profile.options)["volume"]
    ticks = instrument.to_ticks(levels.index.get_level_values("price").to_numpy(np.float64))
    volume = levels.to_numpy(np.float64)
    owner = pd.DatetimeIndex(levels.index.get_level_values("session"))
    first, end = (owner.searchsorted(sessions, side=side) for side in ("left", "right"))
    found = {}
    for session, begin, stop in zip(sessions, first.tolist(), end.tolist(), strict=True):
        if begin == stop:
            continue
        group = -(-(stop - begin) // _STEPS)
        summed = np.add.reduceat(volume[begin:stop], np.arange(0, stop - begin, group))
        shares = (100 * summed / summed.max()).round().astype(np.int64)
        found[session] = [int(ticks[begin]), group * profile.rows.ticks_per_row, *shares.tolist()]
    return found


def _minutes(times: pd.DatetimeIndex, zone: str | None) -> np.ndarray:
    """Minutes since 1970 by the wall clock of the zone, or of the times' own."""
    local = (times if zone is None else times.tz_convert(zone)).tz_localize(None)
    return local.as_unit("s").asi8 // 60


def _day(session: pd.Timestamp) -> str:
    return f"{session:%Y-%m-%d %a}"
