package server

import (
	"context"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/worker"
)

// metrics are the figures of a server, in a registry of its own.
type metrics struct {
	registry    *prometheus.Registry
	requests    *prometheus.HistogramVec
	compactions *prometheus.CounterVec
	merged      prometheus.Counter
	repacks     *prometheus.CounterVec
	repackTime  prometheus.Counter
	repackBytes *prometheus.CounterVec
	swept       *prometheus.CounterVec
	garbage     prometheus.Gauge
	garbageSize prometheus.Gauge
	waits       *prometheus.HistogramVec
}

func newMetrics(store *odb.Store, version string, backlog func() worker.Backlog, eventStreams func() int) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cairn_http_request_duration_seconds",
			Help:    "Time from a request's header to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"method", "route", "status"}),
		compactions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cairn_compactions_total", Help: "Compactions by result.",
		}, []string{"result"}),
		merged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cairn_compaction_packs_merged_total", Help: "Packs that compactions replaced.",
		}),
		repacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cairn_repacks_total", Help: "Full repacks by result.",
		}, []string{"result"}),
		repackTime: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cairn_repack_seconds_total", Help: "Time that full repacks took.",
		}),
		repackBytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cairn_repack_bytes_total", Help: "Bytes of the packs that full repacks read and wrote.",
		}, []string{"direction"}),
		swept: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cairn_swept_total", Help: "Things that sweeps removed, by kind.",
		}, []string{"kind"}),
		garbage: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "cairn_garbage_packs", Help: "Packs that nothing names and that are not removed yet.",
		}),
		garbageSize: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "cairn_garbage_bytes", Help: "Bytes of packs that nothing names and that are not removed yet.",
		}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cairn_work_wait_seconds",
			Help:    "Time that heavy operations waited for a slot, by class and by how the wait ended.",
			Buckets: []float64{.001, .01, .1, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"class", "outcome"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "cairn_build_info", Help: "Always 1; the version is a label.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	counter := func(name, help string, value func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	m.registry.MustRegister(
		counter("cairn_response_cache_hits_total", "Shallow and partial clones that got a kept pack.", func() int64 { return store.Stats().Responses.Hits }),
		counter("cairn_response_cache_misses_total", "Shallow and partial clones whose pack was made.", func() int64 { return store.Stats().Responses.Misses }),
		gauge("cairn_response_cache_bytes", "Packs kept for identical shallow and partial clones.", func() float64 { return float64(store.Stats().Responses.Bytes) }),
		m.requests, m.compactions, m.merged, m.repacks, m.repackTime, m.repackBytes, m.swept, m.garbage, m.garbageSize, m.waits, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("cairn_object_cache_bytes", "Decoded objects in memory.", func() float64 { return float64(store.Stats().CachedBytes) }),
		gauge("cairn_open_packs", "Packs that are open for reading.", func() float64 { return float64(store.Stats().OpenPacks) }),
		gauge("cairn_cached_snapshots", "Repositories whose last state is in memory.", func() float64 { return float64(store.Stats().Snapshots) }),
		gauge("cairn_event_streams", "Live event streams that are open.", func() float64 { return float64(eventStreams()) }),
		gauge("cairn_compaction_queue", "Repositories that wait for a look.", func() float64 { return float64(backlog().Looks) }),
		gauge("cairn_repack_queue", "Repositories that are due to be repacked.", func() float64 { return float64(backlog().Repacks) }),
		gauge("cairn_repack_debt_bytes", "Bytes of repositories that are due to be repacked and came since they last were.", func() float64 { return float64(backlog().Debt) }),
	)
	return m
}

func (m *metrics) observe(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

func (m *metrics) compacted(r odb.CompactResult, err error) {
	switch {
	case err != nil:
		m.compactions.WithLabelValues("error").Inc()
	case r.Before > r.After:
		m.compactions.WithLabelValues("merged").Inc()
		m.merged.Add(float64(r.Before - r.After + 1))
	default:
		m.compactions.WithLabelValues("nothing to do").Inc()
	}
}

// repacked counts a look at a repository that may be due for a full repack.
func (m *metrics) repacked(r odb.RepackResult, err error, took time.Duration) {
	switch {
	case err != nil:
		m.repacks.WithLabelValues("error").Inc()
	case r.Before.Packs == 0:
		return // none was due
	default:
		m.repacks.WithLabelValues("done").Inc()
	}
	m.repackTime.Add(took.Seconds())
	m.repackBytes.WithLabelValues("read").Add(float64(r.Before.Bytes))
	m.repackBytes.WithLabelValues("written").Add(float64(r.After.Bytes))
}

func (m *metrics) sweptAway(r odb.SweepResult, err error) {
	if err == nil {
		m.garbage.Set(float64(r.Garbage.Packs))
		m.garbageSize.Set(float64(r.Garbage.Bytes))
	}
	m.swept.WithLabelValues("repository").Add(float64(r.Repositories))
	m.swept.WithLabelValues("pack").Add(float64(r.Packs))
	m.swept.WithLabelValues("orphan").Add(float64(r.Orphans))
}

// waited counts a wait for a slot for work.
func (m *metrics) waited(class admission.Class, outcome admission.Outcome, took time.Duration) {
	m.waits.WithLabelValues(string(class), string(outcome)).Observe(took.Seconds())
}

// gateMetrics shows the state of a Gate, all of one moment.
type gateMetrics struct {
	gate     *admission.Gate
	requests *prometheus.Desc
	work     *prometheus.Desc
}

func newGateMetrics(gate *admission.Gate) *gateMetrics {
	return &gateMetrics{
		gate:     gate,
		requests: prometheus.NewDesc("cairn_requests", "Requests under way.", nil, nil),
		work:     prometheus.NewDesc("cairn_work", "Heavy operations under way, by class and state.", []string{"class", "state"}, nil),
	}
}

// Describe sends what there is to show.
func (g *gateMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- g.requests
	to <- g.work
}

// Collect sends the present figures.
func (g *gateMetrics) Collect(to chan<- prometheus.Metric) {
	stats := g.gate.Stats()
	to <- prometheus.MustNewConstMetric(g.requests, prometheus.GaugeValue, float64(stats.Requests))
	for class, c := range stats.Classes {
		for state, n := range map[string]int{"working": c.Working, "waiting": c.Waiting, "lent": c.Lent} {
			to <- prometheus.MustNewConstMetric(g.work, prometheus.GaugeValue, float64(n), string(class), state)
		}
	}
}

// opsHandler serves what is for operators alone, on a listener of its own.
func (s *Server) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{Registry: s.metrics.registry}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}

// healthz says that the process is alive.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// readyTimeout bounds one question to the stores.
const readyTimeout = 2 * time.Second

// readyz says whether requests should be sent here: the stores answer, and the
// server is not about to stop.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	reason := s.unready(ctx)
	if reason != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(reason + "\n"))
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}
