module github.com/cairn-storage/cairn/internal/e2e/gogs

go 1.26.0

require github.com/gogs/go-gogs-client v0.0.0-20210131175652-1d7215cd8d85
