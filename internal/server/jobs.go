package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/worker"
)

// jobKinds are the jobs that this program knows how to do, each with how many
// of them run at a time.
func (s *Server) jobKinds() []worker.JobKind {
	return []worker.JobKind{
		{Kind: service.PurgeJob, Run: s.service.FinishPurge},
		{Kind: service.SyncJob, Run: s.service.RunSync, AtOnce: 4, OrganizationAtOnce: 2},
		{Kind: service.WebhookJob, Run: s.service.DeliverWebhook, AtOnce: 16, OrganizationAtOnce: 4},
	}
}

// startJobs begins to run the jobs that are due.
func (s *Server) startJobs() {
	metrics := newJobMetrics()
	s.jobs.Store(worker.StartJobs(worker.JobOptions{
		Metadata: s.metadata,
		Logger:   s.logger,
		Kinds:    s.jobKinds(),
		Alone:    true, // as long as the directory is locked
		Ended:    metrics.ended,
	}))
	metrics.running = s.jobs.Load().Running
	s.metrics.registry.MustRegister(metrics)
	s.closers = append(s.closers, func() error { s.jobs.Load().Close(); return nil })
}

// jobMetrics are the figures of the jobs.
type jobMetrics struct {
	runs    *prometheus.CounterVec
	seconds *prometheus.CounterVec
	waits   *prometheus.HistogramVec
	now     *prometheus.Desc
	running func() map[cairn.JobKind]int
}

func newJobMetrics() *jobMetrics {
	return &jobMetrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cairn_jobs_total", Help: "Runs of jobs by kind and result.",
		}, []string{"kind", "result"}),
		seconds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cairn_job_seconds_total", Help: "Time that jobs took.",
		}, []string{"kind"}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cairn_job_wait_seconds",
			Help:    "Time that jobs waited after they were due.",
			Buckets: []float64{.01, .1, 1, 10, 60, 600, 3600},
		}, []string{"kind"}),
		now: prometheus.NewDesc("cairn_jobs_running", "Jobs that are running.", []string{"kind"}, nil),
	}
}

func (m *jobMetrics) ended(kind cairn.JobKind, result worker.JobResult, waited, ran time.Duration) {
	m.runs.WithLabelValues(string(kind), string(result)).Inc()
	m.seconds.WithLabelValues(string(kind)).Add(ran.Seconds())
	m.waits.WithLabelValues(string(kind)).Observe(waited.Seconds())
}

// Describe sends what there is to show.
func (m *jobMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.now
	m.runs.Describe(to)
	m.seconds.Describe(to)
	m.waits.Describe(to)
}

// Collect sends the present figures.
func (m *jobMetrics) Collect(to chan<- prometheus.Metric) {
	for kind, n := range m.running() {
		to <- prometheus.MustNewConstMetric(m.now, prometheus.GaugeValue, float64(n), string(kind))
	}
	m.runs.Collect(to)
	m.seconds.Collect(to)
	m.waits.Collect(to)
}
