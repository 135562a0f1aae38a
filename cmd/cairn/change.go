package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/mail"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// authorship is who makes a commit.
type authorship struct{ author string }

func (s *authorship) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.author, "author", "", "'NAME <ADDRESS>' (default: as git has it)")
}

// signature is that of the flag, of git's environment, or of git's
// configuration.
func (s *authorship) signature(cmd *cobra.Command) (client.Signature, error) {
	if s.author != "" {
		parsed, err := mail.ParseAddress(s.author)
		if err != nil || parsed.Name == "" {
			return client.Signature{}, usageError{fmt.Errorf("--author %q is not like 'Ada Lovelace <ada@example.com>'", s.author)}
		}
		return client.Signature{Name: parsed.Name, Email: parsed.Address}, nil
	}
	ask := func(variable, setting string) string {
		if v := os.Getenv(variable); v != "" {
			return v
		}
		out, _ := gitOutput(cmd.Context(), "config", "--get", setting)
		return strings.TrimSpace(out)
	}
	who := client.Signature{Name: ask("GIT_AUTHOR_NAME", "user.name"), Email: ask("GIT_AUTHOR_EMAIL", "user.email")}
	if who.Name == "" || who.Email == "" {
		return who, usageError{fmt.Errorf("who is the author? give --author 'NAME <ADDRESS>', or tell git once: git config --global user.name and user.email")}
	}
	return who, nil
}

func newCommit() *cobra.Command {
	var a access
	var s authorship
	var in client.NewCommit
	var remove []string
	var patch, restore string
	cmd := &cobra.Command{
		Use:   "commit REPO -m MESSAGE [PATH[=FILE]]...",
		Short: "Commit files to a branch, without a clone",
		Long: `Commit files of this machine to a branch, without a clone. PATH is where a file is
put in the repository, and where it is found here unless =FILE says another place;
FILE may be a folder, and - is standard input.

  cairn commit acme/app -m "Add docs" docs
  echo hello | cairn commit acme/app -m "Greet" greeting.txt=-
  cairn commit acme/app -m "Clean up" --delete old --branch tidy --base main
  git diff | cairn commit acme/app -m "Fix" --patch -
  cairn commit acme/app -m "Go back" --restore main~3`,
		Args: cobra.MinimumNArgs(1),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			var err error
			if in.Author, err = s.signature(cmd); err != nil {
				return err
			}
			if in.Changes, err = changes(args, remove); err != nil {
				return err
			}
			if err := checkCommit(in, patch, restore); err != nil {
				return err
			}
			if in.Branch == "" {
				found, err := repo.Describe(cmd.Context())
				if err != nil {
					return err
				}
				in.Branch = found.DefaultBranch
			}
			made, err := sendCommit(cmd, repo, in, patch, restore)
			if err != nil {
				return err
			}
			return a.show(cmd, made, func(w io.Writer) {
				fmt.Fprintf(w, "%s is now at %s (%s)\n", made.Branch, short(made.SHA), size(made.PackBytes))
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&in.Message, "message", "m", "", "what the commit is about (required)")
	flags.StringVar(&in.Branch, "branch", "", "branch to continue (default: the default branch)")
	flags.StringVar(&in.Base, "base", "", "branch at which a new branch begins")
	flags.StringVar(&in.ExpectedHead, "expect", "", "commit that the branch must be at, else nothing is done")
	flags.BoolVar(&in.Ephemeral, "ephemeral", false, "an ephemeral branch")
	flags.BoolVar(&in.BaseEphemeral, "ephemeral-base", false, "the base is an ephemeral branch")
	flags.StringArrayVar(&remove, "delete", nil, "file or folder to delete; may be repeated")
	flags.StringVar(&patch, "patch", "", "file with a patch to apply, as git diff prints it; - is standard input")
	flags.StringVar(&restore, "restore", "", "commit whose files to bring back, as a new commit")
	_ = cmd.MarkFlagRequired("message")
	s.bind(cmd)
	return a.bind(cmd)
}

// checkCommit finds what does not go together.
func checkCommit(in client.NewCommit, patch, restore string) error {
	ways := 0
	for _, given := range []bool{len(in.Changes) > 0, patch != "", restore != ""} {
		if given {
			ways++
		}
	}
	switch ways {
	case 0:
		return usageError{errors.New("there is nothing to commit: name files, or give --delete, --patch or --restore")}
	case 1:
		return nil
	}
	return usageError{errors.New("files, --patch and --restore do not go together")}
}

func sendCommit(cmd *cobra.Command, repo *client.Repo, in client.NewCommit, patch, restore string) (client.CommitResult, error) {
	ctx := cmd.Context()
	bar := newProgress()
	defer bar.end()
	var sent int64
	in.Progress = func(n int64) {
		sent += n
		bar.show("%s sent", size(sent))
	}
	switch {
	case restore != "":
		return repo.RestoreCommit(ctx, in, restore)
	case patch == "-":
		return repo.CommitPatch(ctx, in, cmd.InOrStdin())
	case patch != "":
		f, err := os.Open(patch)
		if err != nil {
			return client.CommitResult{}, usageError{err}
		}
		defer f.Close()
		return repo.CommitPatch(ctx, in, f)
	}
	return repo.Commit(ctx, in)
}

// changes reads what the arguments name.
func changes(args, remove []string) ([]client.Change, error) {
	var all []client.Change
	for _, path := range remove {
		all = append(all, client.Remove(path))
	}
	for _, arg := range args {
		to, from, ok := strings.Cut(arg, "=")
		if !ok {
			from = arg
		}
		if from == "-" {
			all = append(all, client.PutReader(to, os.Stdin))
			continue
		}
		more, err := filesBelow(filepath.ToSlash(filepath.Clean(to)), from)
		if err != nil {
			return nil, usageError{err}
		}
		all = append(all, more...)
	}
	return all, nil
}

// filesBelow returns a file, or all files of a folder but Git's own.
func filesBelow(to, from string) ([]client.Change, error) {
	var all []client.Change
	err := filepath.WalkDir(from, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == ".git" && file != from {
				return fs.SkipDir
			}
			return nil
		}
		below, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		change, err := localFile(path.Join(to, filepath.ToSlash(below)), file)
		all = append(all, change)
		return err
	})
	return all, err
}

// localFile is a change that writes a file of this machine. It is opened when
// it is sent.
func localFile(to, file string) (client.Change, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return client.Change{}, err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(file)
		return client.PutString(to, filepath.ToSlash(target)).WithMode(client.ModeSymlink), err
	case !info.Mode().IsRegular():
		return client.Change{}, fmt.Errorf("%s is neither a file nor a folder", file)
	case info.Mode()&0o100 != 0:
		return client.PutFile(to, file).WithMode(client.ModeExecutable), nil
	}
	return client.PutFile(to, file), nil
}

func newMerge() *cobra.Command {
	var a access
	var s authorship
	var in client.Merge
	var preview bool
	cmd := &cobra.Command{
		Use:   "merge REPO SOURCE TARGET",
		Short: "Merge a branch or commit into a branch",
		Long:  "Merge SOURCE, any revision, into the branch TARGET. In a conflict nothing is changed,\nand the files are named. --preview only looks.",
		Args:  cobra.ExactArgs(3),
		RunE: a.run(func(cmd *cobra.Command, repo *client.Repo, args []string) error {
			in.Source, in.Target = args[0], args[1]
			if preview {
				return a.previewMerge(cmd, repo, in)
			}
			who, err := s.signature(cmd)
			if err != nil {
				return err
			}
			in.Author = &who
			if in.Message == "" {
				in.Message = fmt.Sprintf("Merge %s into %s", in.Source, in.Target)
			}
			made, err := repo.Merge(cmd.Context(), in)
			if refused := (*client.Error)(nil); errors.As(err, &refused) && len(refused.ConflictPaths) > 0 {
				return fmt.Errorf("%w:\n  %s", err, plain(strings.Join(refused.ConflictPaths, "\n  ")))
			}
			if err != nil {
				return err
			}
			return a.show(cmd, made, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s is now at %s\n", strings.ReplaceAll(made.Result, "_", " "), made.Target.Branch, short(made.Target.New))
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Strategy, "strategy", client.MergeFastForwardPrefer, "merge: a merge commit; ff_only: no commit; ff_prefer: a commit only if needed")
	flags.StringVarP(&in.Message, "message", "m", "", "message of the merge commit")
	flags.BoolVar(&in.Squash, "squash", false, "one ordinary commit of all that the source brings")
	flags.BoolVar(&in.Unrelated, "allow-unrelated-histories", false, "merge what has nothing in common")
	flags.StringVar(&in.ExpectedTarget, "expect", "", "commit that the target must be at, else nothing is done")
	flags.BoolVar(&in.SourceEphemeral, "ephemeral-source", false, "the source is an ephemeral branch")
	flags.BoolVar(&in.TargetEphemeral, "ephemeral-target", false, "the target is an ephemeral branch")
	flags.BoolVar(&preview, "preview", false, "only tell what would happen")
	s.bind(cmd)
	return a.bind(cmd)
}

func (a *access) previewMerge(cmd *cobra.Command, repo *client.Repo, in client.Merge) error {
	found, err := repo.PreviewMerge(cmd.Context(), in, a.json)
	if err != nil {
		return err
	}
	return a.show(cmd, found, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s\n", found.Status, strings.ReplaceAll(found.Result, "_", " "))
		for _, path := range found.ConflictPaths {
			fmt.Fprintf(w, "  conflict in %s\n", plain(path))
		}
	})
}
