// Package server is the only wiring: it opens the data directory and the two
// stores, puts the service and the faces over them, listens, and takes all of
// it down again in order. Its rule is that nothing else in the project knows
// which drivers and faces there are. It decides nothing about requests.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/config"
	"github.com/cairn-storage/cairn/internal/egress"
	"github.com/cairn-storage/cairn/internal/gitexec"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/secret"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/sqldb"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
	"github.com/cairn-storage/cairn/internal/upstream"
	"github.com/cairn-storage/cairn/internal/worker"
)

// Server is a running server.
type Server struct {
	config     config.Config
	logger     *slog.Logger
	version    string
	adminToken string
	authority  string // the file that clients trust, with tls-self-signed

	data     *dataDir
	metadata cairn.Metadata
	bucket   cairn.FileBucket
	closers  []func() error // in the order of opening

	store   *odb.Store
	egress  *egress.Egress
	service *service.Service
	worker  atomic.Pointer[worker.Worker]
	jobs    atomic.Pointer[worker.JobRunner]
	gate    *admission.Gate
	metrics *metrics

	main, ops *http.Server
	running   sync.WaitGroup     // requests of main
	cutOff    context.CancelFunc // ends the contexts of those
	listener  net.Listener
	security  *tls.Config // nil for plain HTTP
	url       string
	opsURL    string
	ports     ports      // of both
	failed    chan error // of listeners
	draining  atomic.Bool
}

// Start opens everything and begins to serve. When it returns nil the server
// accepts requests; the caller ends it with Stop.
func Start(ctx context.Context, c config.Config, logger *slog.Logger, version string) (*Server, error) {
	s := &Server{config: c, logger: logger, version: version, failed: make(chan error, 2)}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := s.listen(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// URL is where the server is reached, without a slash at the end.
func (s *Server) URL() string { return s.url }

// OpsURL is where the figures are; empty if nowhere.
func (s *Server) OpsURL() string { return s.opsURL }

// ExternalURL is what links and clone addresses begin with.
func (s *Server) ExternalURL() string {
	if s.config.ExternalURL != "" {
		return strings.TrimRight(s.config.ExternalURL, "/")
	}
	return s.url
}

// AdminToken is the token for /admin/v1.
func (s *Server) AdminToken() string { return s.adminToken }

// Authority is the file with the certificate that clients have to trust; empty
// without tls-self-signed.
func (s *Server) Authority() string { return s.authority }

// Failed returns what ended a listener that nobody stopped.
func (s *Server) Failed() <-chan error { return s.failed }

// open opens the data directory, the stores and what lies over them.
func (s *Server) open(ctx context.Context) (err error) {
	if s.data, err = openDataDir(s.config.Data); err != nil {
		return err
	}
	s.closers = append(s.closers, s.data.close)
	s.adminToken = string(s.config.AdminToken)
	if s.adminToken == "" {
		if s.adminToken, err = s.data.adminToken(); err != nil {
			return err
		}
	}
	secrets, err := s.secretKeys()
	if err != nil {
		return err
	}
	if err := s.openStores(ctx); err != nil {
		return err
	}
	c := s.config
	stockGit, err := gitexec.Find(ctx)
	if err != nil {
		s.logger.Warn("no merges, patches and notes through the API, and no full repacks", "error", err)
	}
	s.store, err = odb.Open(odb.Options{
		Git:         stockGit,
		Metadata:    s.metadata,
		Bucket:      s.bucket,
		ScratchDir:  s.data.file(scratchName),
		Logger:      s.logger,
		CacheBytes:  int64(c.CacheSize),
		Responses:   responses(c),
		InlineLimit: int64(c.InlineLimit),
		CompactAt:   c.CompactAt,
		Retention:   c.Retention,
		GitTime:     c.GitTime,
		GitMemory:   int64(c.GitMemory),
		Push: odb.PushLimits{
			PackSize:   int64(c.MaxPackSize),
			ObjectSize: int64(c.MaxObjectSize),
			Objects:    c.MaxPackObjects,
			Inflated:   int64(c.MaxInflatedSize),
		},
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.store.Close)
	s.egress = egress.New(egress.Options{Allow: c.EgressAllow, Own: s.ports.list})
	s.closers = append(s.closers, s.egress.Close)
	if err := s.bind(ctx); err != nil {
		return err
	}
	s.service = service.New(service.Options{
		Store:   s.store,
		Logger:  s.logger,
		Secrets: secrets,
		Egress:  s.egress,
		Upstreams: upstream.New(s.egress.Client(egress.Budget{}), upstream.Options{
			MaxRefs: c.MaxSyncRefs,
			MaxPack: int64(c.MaxPackSize) + pushOverhead,
		}),
		PlainUpstreams: c.EgressAllow,
		ExternalURL:    s.ExternalURL(),
		Limits:         limits(c),
		Upkeep:         service.Upkeep{Retention: c.Retention, Grace: c.Grace, OrphansAfter: c.OrphansAfter, AloneSince: s.data.lockedAt},
		Changed:        func(key cairn.RepositoryKey, bytes int64) { s.worker.Load().Changed(key, bytes) },
		Enqueued:       func(kind cairn.JobKind) { s.jobs.Load().Wake(kind) },
	})
	s.metrics = newMetrics(s.store, s.version, func() worker.Backlog { return s.worker.Load().Backlog() }, s.service.EventStreams)
	s.openGate()
	s.startWorker()
	s.startJobs()
	return nil
}

// secretKeys returns the keys that seal stored secrets.
func (s *Server) secretKeys() (*secret.Keyring, error) {
	if s.config.SecretKey == "" {
		return s.data.secretKeys()
	}
	keys, err := secret.Parse(string(s.config.SecretKey))
	if err != nil {
		return nil, fmt.Errorf("secret-key: %w", err)
	}
	return keys, nil
}

// openGate makes what bounds the requests under way, and its figures.
func (s *Server) openGate() {
	c := s.config
	s.gate = admission.New(admission.Options{
		Requests:       c.MaxRequests,
		TenantRequests: c.MaxOrgRequests,
		Slots:          c.WorkSlots,
		TenantSlots:    c.OrgWorkSlots,
		Queue:          c.WorkQueue,
		Wait:           c.WorkWait,
		Observe:        s.metrics.waited,
	})
	s.metrics.registry.MustRegister(newGateMetrics(s.gate))
}

// responses is the size of the response cache as package odb has it: there,
// zero is the default.
func responses(c config.Config) int64 {
	if c.ResponseCache == 0 {
		return -1
	}
	return int64(c.ResponseCache)
}

func limits(c config.Config) service.Limits {
	return service.Limits{
		CommitFiles:   c.MaxCommitFiles,
		FileSize:      int64(c.MaxFileSize),
		RequestSize:   int64(c.MaxRequestSize),
		PatchSize:     int64(c.MaxPatchSize),
		LineSize:      int(c.MaxLineSize),
		TokenTTL:      c.MaxTokenTTL,
		PolicyRules:   c.MaxPolicyRules,
		RefsPerPush:   c.MaxRefsPerPush,
		DiffFileSize:  int64(c.MaxDiffFileSize),
		DiffFileLines: c.MaxDiffFileLines,
		EventStreams:  c.MaxEventStreams,
		WalkEntries:   c.MaxWalkEntries,
		SyncTime:      c.SyncTimeout,
	}
}

// openStores opens the two stores that the configuration's addresses name.
func (s *Server) openStores(ctx context.Context) error {
	path, ok := strings.CutPrefix(s.config.Metadata, "sqlite:")
	if !ok {
		return fmt.Errorf("metadata store %q: this version knows sqlite:PATH", s.config.Metadata)
	}
	if path = strings.TrimPrefix(path, "//"); path == "" {
		path = s.data.file(databaseName)
	}
	metadata, err := sqlite.Open(ctx, path)
	if errors.Is(err, sqldb.ErrNewerSchema) {
		return fmt.Errorf("%s: %w", path, err)
	} else if err != nil {
		return fmt.Errorf("open metadata store: %w", err)
	}
	s.metadata = metadata
	s.closers = append(s.closers, metadata.Close)

	path, ok = strings.CutPrefix(s.config.Bucket, "file:")
	if !ok {
		return fmt.Errorf("bucket %q: this version knows file:DIR", s.config.Bucket)
	}
	if path = strings.TrimPrefix(path, "//"); path == "" {
		path = s.data.file(bucketName)
	}
	bucket, err := dir.Open(path)
	if err != nil {
		return fmt.Errorf("open bucket: %w", err)
	}
	s.bucket = bucket
	s.closers = append(s.closers, bucket.Close)
	return nil
}

// garbageEvery is the time between two searches for packs that may go. Unlike
// a whole sweep it costs next to nothing when there are none.
const garbageEvery = time.Minute

// keyUsesEvery is how often it is stored when API keys were used.
const keyUsesEvery = time.Minute

// swept counts what a sweep removes.
func (s *Server) swept(sweep func(context.Context) (odb.SweepResult, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		result, err := sweep(ctx)
		s.metrics.sweptAway(result, err)
		return err
	}
}

func (s *Server) startWorker() {
	s.worker.Store(worker.Start(worker.Options{
		Compact: func(ctx context.Context, key cairn.RepositoryKey) (int64, error) {
			result, debt, err := s.service.CompactIfDue(ctx, key)
			s.metrics.compacted(result, err)
			return debt, err
		},
		Repack: func(ctx context.Context, key cairn.RepositoryKey) error {
			begun := time.Now()
			result, err := s.service.RepackIfDue(ctx, key)
			s.metrics.repacked(result, err, time.Since(begun))
			return err
		},
		Indebted: s.service.Indebted,
		Periodic: []worker.Periodic{
			{Name: "sweep", Every: s.config.SweepEvery, Do: s.swept(s.service.Sweep)},
			{Name: "uses of API keys", Every: keyUsesEvery, Do: s.service.NoteAPIKeyUses},
			{Name: "garbage collection", Every: min(s.config.SweepEvery, garbageEvery), Do: s.swept(s.service.RemoveGarbage)},
		},
		Logger: s.logger,
	}))
	s.closers = append(s.closers, func() error { s.worker.Load().Close(); return nil })
}

// bind takes the address, so that it is known; requests wait until listen serves
// it.
func (s *Server) bind(ctx context.Context) error {
	listener, err := listen(ctx, s.config.Listen, s.config.MaxConnections)
	if err != nil {
		return fmt.Errorf("listen: %w; choose another address with --listen", err)
	}
	s.listener = listener
	s.closers = append(s.closers, func() error { _ = listener.Close(); return nil }) // which the server has closed, if it got it
	s.ports.add(listener.Addr())
	if s.security, err = s.tlsConfig(listener.Addr()); err != nil {
		return err
	}
	s.url = "http://" + hostPort(listener.Addr())
	if s.security != nil {
		s.url = "https://" + hostPort(listener.Addr())
	}
	return nil
}

// listen begins to serve the addresses.
func (s *Server) listen() error {
	base, cutOff := context.WithCancel(context.Background())
	s.cutOff = cutOff
	s.main = s.newHTTPServer(base, s.edge(), s.config.RequestTimeout)
	s.main.TLSConfig = s.security
	s.closers = append(s.closers, s.closeMain)
	s.listenOps()
	if err := writePrivate(s.data.file(addressName), []byte(s.url+"\n")); err != nil {
		return err
	}
	go s.serve(s.main, s.listener)
	return nil
}

// listenOps serves the operators' address. A server without it is better than
// none.
func (s *Server) listenOps() {
	if s.config.OpsListen == "" {
		return
	}
	listener, err := net.Listen("tcp", s.config.OpsListen)
	if err != nil {
		s.logger.Warn("no metrics: ops-listen cannot be opened", "address", s.config.OpsListen, "error", err)
		return
	}
	s.ports.add(listener.Addr())
	s.ops = s.newHTTPServer(context.Background(), s.opsHandler(), 0)
	s.opsURL = "http://" + hostPort(listener.Addr())
	s.closers = append(s.closers, s.ops.Close)
	go s.serve(s.ops, listener)
}

// serve runs until the server is stopped; Stop and Close end it.
func (s *Server) serve(h *http.Server, listener net.Listener) {
	var err error
	if h.TLSConfig != nil {
		err = h.ServeTLS(listener, "", "")
	} else {
		err = h.Serve(listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		s.failed <- fmt.Errorf("listener %s: %w", listener.Addr(), err)
	}
}

// maxStreams is how many requests one connection of HTTP/2 may have under way.
// Somewhat more that were cancelled before they were begun end it.
const maxStreams = 128

func (s *Server) newHTTPServer(base context.Context, handler http.Handler, timeout time.Duration) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: s.config.HeaderTimeout,
		IdleTimeout:       s.config.IdleTimeout,
		ReadTimeout:       timeout,
		MaxHeaderBytes:    64 << 10,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
}

// tlsConfig returns what HTTPS is served with; nil for plain HTTP.
func (s *Server) tlsConfig(address net.Addr) (*tls.Config, error) {
	var certificate tls.Certificate
	var err error
	switch {
	case s.config.TLSSelfSigned:
		certificate, s.authority, err = selfSigned(s.data.file(tlsName), s.hosts(address), time.Now())
	case s.config.TLSCert != "":
		certificate, err = tls.LoadX509KeyPair(s.config.TLSCert, s.config.TLSKey)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
}

// unready says why the server should get no requests; empty if it should.
func (s *Server) unready(ctx context.Context) string {
	if s.draining.Load() {
		return "stopping"
	}
	err := s.metadata.View(ctx, func(tx cairn.Tx) error {
		_, err := tx.Organizations().List("", 1)
		return err
	})
	if err != nil {
		s.logger.Warn("metadata store does not answer", "error", err)
		return "metadata store does not answer"
	}
	if _, err := s.bucket.Stat(ctx, "ready"); err != nil && !errors.Is(err, cairn.NotFound) {
		s.logger.Warn("bucket does not answer", "error", err)
		return "bucket does not answer"
	}
	return ""
}

// Stop ends the server: no new requests, those under way may finish within
// drain-timeout, then everything is closed.
func (s *Server) Stop() error {
	s.draining.Store(true)
	s.gate.Stop()
	s.service.EndEventStreams()
	ctx, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	err := s.main.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.logger.Warn("requests were cut off: they took longer than drain-timeout", "drain_timeout", s.config.DrainTimeout.String())
		err = nil
	}
	return errors.Join(err, s.close())
}

// close closes what was opened, the last first. Below a request that does not
// end nothing is closed: it would read from packs that are mapped no more.
func (s *Server) close() error {
	var err error
	for len(s.closers) > 0 {
		last := len(s.closers) - 1
		next := s.closers[last]()
		err = errors.Join(err, next)
		s.closers = s.closers[:last]
		if errors.Is(next, errStillRunning) {
			s.closers = nil
		}
	}
	return err
}

// cutOffTime is how long a request may take to notice that it is cut off.
const cutOffTime = 5 * time.Second

var errStillRunning = errors.New("some requests did not end when they were cut off")

// closeMain cuts off what still runs and waits for it.
func (s *Server) closeMain() error {
	err := s.main.Close()
	s.cutOff()
	ended := make(chan struct{})
	go func() { s.running.Wait(); close(ended) }()
	select {
	case <-ended:
		return err
	case <-time.After(cutOffTime):
		return errors.Join(err, errStillRunning)
	}
}

// hosts are the names and addresses under which clients may reach a listener.
func (s *Server) hosts(address net.Addr) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && name != "" {
		hosts = append(hosts, name)
	}
	if host, _, err := net.SplitHostPort(address.String()); err == nil {
		if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() && !ip.IsLoopback() {
			hosts = append(hosts, host)
		}
	}
	if host := externalHost(s.config.ExternalURL); host != "" {
		hosts = append(hosts, host)
	}
	return hosts
}

// hostPort is an address that a client on this machine can use.
func hostPort(address net.Addr) string {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// edge is the handler of the main listener.
func (s *Server) edge() http.Handler {
	edge := api.Edge(s.routes(), api.EdgeOptions{
		Logger:    s.logger,
		Timeout:   s.config.RequestTimeout,
		Gate:      s.gate,
		Pace:      api.Pace{Stall: s.config.StallTimeout, Rate: int64(s.config.MinRate)},
		Uncounted: isHealthCheck,
		Scratch:   s.store.Scratch,
		Fail:      fail,
		Observe:   s.metrics.observe,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.running.Add(1)
		defer s.running.Done()
		edge.ServeHTTP(w, r)
	})
}
