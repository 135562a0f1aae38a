package protocol

import (
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// The names of the two services, as in the query of /info/refs.
const (
	UploadPack  = "git-upload-pack"
	ReceivePack = "git-receive-pack"
)

// Version reads the header Git-Protocol: the protocol version that the client
// asks for, 0 if it asks for none that is known.
func Version(header string) int {
	version := 0
	for word := range strings.SplitSeq(header, ":") {
		switch word {
		case "version=1":
			version = max(version, 1)
		case "version=2":
			version = 2
		}
	}
	return version
}

// Ref is a ref as it is shown to a client.
type Ref struct {
	Name         git.RefName
	ID           git.ObjectID // zero for an unborn HEAD, which only ls-refs shows
	Peeled       git.ObjectID // what an annotated tag finally names, else zero
	SymrefTarget git.RefName  // what a symbolic ref (HEAD) names, else empty
}

// Advertisement holds what an advertisement says besides the refs.
type Advertisement struct {
	Version      int    // 0, 1 or 2
	Service      bool   // start with "# service=…", as smart HTTP wants; version 2 has none
	Agent        string // such as "cairn/1.0"
	Format       git.ObjectFormat
	Filter       bool // upload-pack: partial clone
	AnyReachable bool // upload-pack v0: any reachable object may be wanted, not only tips (v2 clients ask anyway)
	RefInWant    bool // upload-pack v2: "want-ref"
	ObjectInfo   bool // upload-pack v2: the command object-info
	PushOptions  bool // receive-pack
}

// AdvertiseUploadPack writes the refs that may be fetched, in the order given:
// HEAD first if it is not unborn, then by name. For version 2 it ignores refs
// and writes the capabilities (see AdvertiseV2).
func AdvertiseUploadPack(w *Writer, refs []Ref, a Advertisement) error {
	if a.Version >= 2 {
		return AdvertiseV2(w, a)
	}
	return advertise(w, UploadPack, refs, a, uploadPackCapabilities(refs, a), true)
}

// AdvertiseReceivePack writes the refs that a push may update, by name. HEAD,
// peeled tags and symbolic refs are not shown, as in git.
func AdvertiseReceivePack(w *Writer, refs []Ref, a Advertisement) error {
	return advertise(w, ReceivePack, refs, a, receivePackCapabilities(a), false)
}

func uploadPackCapabilities(refs []Ref, a Advertisement) string {
	caps := []string{
		"multi_ack", "thin-pack", "side-band", "side-band-64k", "ofs-delta", "shallow", "deepen-since", "deepen-not",
		"deepen-relative", "no-progress", "include-tag", "multi_ack_detailed",
	}
	if a.AnyReachable {
		caps = append(caps, "allow-tip-sha1-in-want", "allow-reachable-sha1-in-want")
	}
	caps = append(caps, "no-done")
	for _, r := range refs {
		if r.SymrefTarget != "" && !r.ID.IsZero() {
			caps = append(caps, "symref="+string(r.Name)+":"+string(r.SymrefTarget))
		}
	}
	if a.Filter {
		caps = append(caps, "filter")
	}
	return strings.Join(append(caps, "object-format="+a.Format.String(), "agent="+token(a.Agent)), " ")
}

func receivePackCapabilities(a Advertisement) string {
	caps := []string{"report-status", "report-status-v2", "delete-refs", "side-band-64k", "quiet", "atomic", "ofs-delta"}
	if a.PushOptions {
		caps = append(caps, "push-options")
	}
	return strings.Join(append(caps, "object-format="+a.Format.String(), "agent="+token(a.Agent)), " ")
}

// advertise writes the form that versions 0 and 1 share for both services.
func advertise(w *Writer, service string, refs []Ref, a Advertisement, capabilities string, upload bool) error {
	if a.Service {
		w.Line("# service=" + service)
		w.Flush()
	}
	if a.Version == 1 {
		w.Line("version 1")
	}
	suffix := "\x00" + capabilities
	for _, r := range refs {
		if r.ID.IsZero() || !upload && r.Name == git.HEAD {
			continue
		}
		w.ref(r.ID, string(r.Name), suffix)
		suffix = ""
		if upload && !r.Peeled.IsZero() {
			w.ref(r.Peeled, string(r.Name)+"^{}", "")
		}
	}
	if suffix != "" {
		w.Line(zeroHex(a.Format) + " capabilities^{}" + suffix)
	}
	return w.Flush()
}

func (w *Writer) ref(id git.ObjectID, name, suffix string) {
	w.begin()
	w.buf = appendHex(w.buf, id)
	w.buf = append(w.buf, ' ')
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, suffix...)
	w.buf = append(w.buf, '\n')
	w.end()
}

// AdvertiseV2 writes the capabilities of version 2. It starts without
// "# service=…", as git-http-backend(1) does.
func AdvertiseV2(w *Writer, a Advertisement) error {
	w.Line("version 2")
	w.Line("agent=" + token(a.Agent))
	w.Line("ls-refs=unborn")
	fetch := "fetch=shallow wait-for-done"
	if a.Filter {
		fetch += " filter"
	}
	if a.RefInWant {
		fetch += " ref-in-want"
	}
	w.Line(fetch)
	w.Line("server-option")
	w.Line("object-format=" + a.Format.String())
	if a.ObjectInfo {
		w.Line("object-info")
	}
	return w.Flush()
}
