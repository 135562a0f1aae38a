package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

func newFsck() *cobra.Command {
	r := new(repositories)
	cmd := &cobra.Command{
		Use:   "fsck [ORG/NAME]...",
		Short: "Verify everything that repositories hold",
		Long:  "Verify every pack, every object and every link of the repositories that are named,\nor of all. It ends with status 1 if there is a problem.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			targets, err := r.targets(cmd, c, args)
			if err != nil {
				return err
			}
			return r.check(cmd, c, targets)
		},
	}
	cmd.Flags().StringVar(&r.org, "org", "", "organization; without it, names begin with theirs: ORG/NAME")
	return r.bind(cmd)
}

type target struct{ org, name string }

// targets are the repositories to check.
func (r *repositories) targets(cmd *cobra.Command, c *client.Operator, args []string) ([]target, error) {
	var all []target
	for _, arg := range args {
		org, name, err := r.split(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, target{org, name})
	}
	if len(args) > 0 {
		return all, nil
	}
	for org, err := range c.Organizations(cmd.Context()) {
		if err != nil {
			return nil, err
		}
		if r.org != "" && r.org != org.Name {
			continue
		}
		for repo, err := range c.Repositories(cmd.Context(), org.Name, "") {
			if err != nil {
				return nil, err
			}
			all = append(all, target{org.Name, repo.Name})
		}
	}
	return all, nil
}

// checked is the result for one repository.
type checked struct {
	Organization string `json:"organization"`
	Repository   string `json:"repository"`
	client.CheckResult
}

func (r *repositories) check(cmd *cobra.Command, c *client.Operator, targets []target) error {
	progress := newProgress()
	results := []checked{}
	bad := 0
	for i, t := range targets {
		result, err := c.CheckRepository(cmd.Context(), t.org, t.name, func(done, all int) {
			progress.show("%s/%s (%d of %d): %d of %d objects", t.org, t.name, i+1, len(targets), done, all)
		})
		progress.end()
		if err != nil {
			return err
		}
		if len(result.Problems) > 0 {
			bad++
		}
		results = append(results, checked{t.org, t.name, result})
	}
	err := r.output.show(cmd, results, func(w io.Writer) {
		for _, result := range results {
			for _, problem := range result.Problems {
				fmt.Fprintf(w, "%s/%s: %s\n", result.Organization, result.Repository, problem)
			}
			if len(result.Problems) == 0 {
				fmt.Fprintf(w, "%s/%s: ok, %d objects in %d packs\n", result.Organization, result.Repository, result.Objects, result.Packs)
			}
		}
	})
	if err == nil && bad > 0 {
		err = fmt.Errorf("%d of %d repositories have problems", bad, len(targets))
	}
	return err
}

func newGC() *cobra.Command {
	r := new(repositories)
	cmd := &cobra.Command{
		Use:   "gc [ORG/NAME]...",
		Short: "Compact repositories and remove what is old enough to go",
		Long: `Pack the repositories that are named anew. Without names, compact every repository
that has more packs than it needs, and remove what is old enough to go. A server
does so in the background anyway; this is for who will not wait.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.org != "" && len(args) == 0 {
				return usageError{errors.New("--org needs names of repositories beside it")}
			}
			c, err := r.open()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return r.collect(cmd, c)
			}
			targets, err := r.targets(cmd, c, args)
			if err != nil {
				return err
			}
			return r.repack(cmd, c, targets)
		},
	}
	cmd.Flags().StringVar(&r.org, "org", "", "organization; without it, names begin with theirs: ORG/NAME")
	return r.bind(cmd)
}

func (r *repositories) collect(cmd *cobra.Command, c *client.Operator) error {
	progress := newProgress()
	result, err := c.CollectGarbage(cmd.Context(), func(n int) { progress.show("%d repositories", n) })
	progress.end()
	if err != nil {
		return err
	}
	return r.output.show(cmd, result, func(w io.Writer) {
		fmt.Fprintf(w, "%d repositories, %d of them compacted; removed: %d deleted repositories, %d packs, %d orphans (%d bytes)\n",
			result.Repositories, result.Compacted, result.Purged, result.Packs, result.Orphans, result.OrphanBytes)
	})
}

// repacked is the result for one repository.
type repacked struct {
	Organization string `json:"organization"`
	Repository   string `json:"repository"`
	client.RepackResult
}

// repack packs repositories anew, one after the other. What is done before one
// fails is shown.
func (r *repositories) repack(cmd *cobra.Command, c *client.Operator, targets []target) error {
	progress := newProgress()
	results := []repacked{}
	var failed error
	for _, t := range targets {
		result, err := c.RepackRepository(cmd.Context(), t.org, t.name, func(text string) {
			progress.show("%s/%s: %s", t.org, t.name, text)
		})
		progress.end()
		if err != nil {
			failed = fmt.Errorf("%s/%s: %w", t.org, t.name, err)
			break
		}
		results = append(results, repacked{t.org, t.name, result})
	}
	err := r.output.show(cmd, results, func(w io.Writer) {
		for _, result := range results {
			fmt.Fprintf(w, "%s/%s: %d packs of %d bytes before, %d packs of %d bytes now; %d objects dropped\n", result.Organization, result.Repository,
				result.PacksBefore, result.BytesBefore, result.PacksAfter, result.BytesAfter, result.Dropped)
		}
	})
	return errors.Join(failed, err)
}
