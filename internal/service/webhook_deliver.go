package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/egress"
)

// How deliveries are made, and when they are given up.
const (
	deliveryTime     = 15 * time.Second // for one attempt
	answerKept       = 1 << 10          // bytes of an answer that its owner sees
	answerRead       = 64 << 10
	firstRetry       = 10 * time.Second
	longestRetry     = 6 * time.Hour
	deliveryAge      = 3 * 24 * time.Hour // then a delivery is given up
	deadAfter        = 3 * 24 * time.Hour // without one success a webhook is paused
	maxBacklog       = 10_000             // deliveries of a failing webhook that wait; then it is paused
	deliveriesLast   = 7 * 24 * time.Hour // after their end, in the log
	forgottenAtATime = 500
)

// statusGone is the answer that ends a subscription at once.
const statusGone = 410

// DeliverWebhook does a WebhookJob: it sends what waits for a webhook and
// repository, one after the other, until one fails, and asks to go on later.
// What was sent and not noted before a crash is sent again.
func (s *Service) DeliverWebhook(ctx context.Context, job cairn.Job) error {
	for {
		w, d, err := s.nextDelivery(ctx, job)
		if errors.Is(err, cairn.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		s.attempt(ctx, w, &d)
		if err := ctx.Err(); err != nil {
			return err // the attempt does not count
		}
		again, err := s.noteAttempt(ctx, d)
		if err != nil {
			return fmt.Errorf("note delivery %s: %w", d.ID, err)
		}
		if !again.IsZero() {
			return &cairn.RetryAt{Due: again, Err: fmt.Errorf("delivery %s: HTTP status %d %s", d.ID, d.Status, d.Error)}
		}
	}
}

// nextDelivery is what a job has to send first; NotFound if there is nothing.
func (s *Service) nextDelivery(ctx context.Context, job cairn.Job) (w cairn.Webhook, d cairn.Delivery, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		if w, err = tx.Webhooks().Get(job.Organization, cairn.WebhookID(job.Name)); err != nil {
			return err
		}
		waiting, err := tx.Webhooks().Waiting(job.Organization, w.ID, job.Repository, 1)
		if err != nil {
			return err
		}
		if len(waiting) == 0 || w.Paused != "" {
			return cairn.NotFound
		}
		d = waiting[0]
		return nil
	})
	return w, d, err
}

// attempt sends a delivery once and notes in it what came of that.
func (s *Service) attempt(ctx context.Context, w cairn.Webhook, d *cairn.Delivery) {
	begun := s.now().UTC()
	d.Attempts++
	d.AttemptedAt, d.Status, d.Answer, d.Error = begun, 0, nil, ""
	key, err := s.secrets.Open(w.Secret, webhookSecretPlace(w))
	var answer egress.Answer
	if err != nil {
		s.logger.Error("webhook cannot be signed", "organization_id", w.Organization, "webhook", PublicWebhookID(w.ID), "error", err)
	} else {
		header := webhookForms[w.Form].header(w, *d, key, begun)
		answer, err = s.egress.Post(ctx, w.URL, header, d.Payload, answerKept, egress.Budget{Time: deliveryTime, Bytes: answerRead})
	}
	d.Duration = s.now().Sub(begun)
	d.Status, d.Answer = answer.Status, bytes.ToValidUTF8(answer.Body, []byte("\uFFFD"))
	if err != nil && d.Status == 0 {
		d.Error = egress.Reason(err)
	}
}

// noteAttempt stores what came of an attempt and decides what follows from it.
// It returns when to try again; zero to go on with the next.
func (s *Service) noteAttempt(ctx context.Context, d cairn.Delivery) (again time.Time, err error) {
	err = s.metadata.Update(ctx, func(tx cairn.Tx) error {
		again = time.Time{}
		w, err := tx.Webhooks().Get(d.Organization, d.Webhook)
		if errors.Is(err, cairn.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		d, now := d, s.now().UTC()
		d.State, d.EndedAt = cairn.DeliveryWaiting, time.Time{}
		failing := w.FailingSince
		switch {
		case d.Status >= 200 && d.Status < 300:
			d.State, d.EndedAt = cairn.DeliverySucceeded, now
			failing = time.Time{}
		case w.Paused != "" || now.Sub(d.CreatedAt) >= deliveryAge:
			d.State, d.EndedAt = cairn.DeliveryFailed, now
			if d.Error == "" {
				d.Error = "not tried again: " + outcome(d)
			}
		default:
			again = now.Add(cairn.BackOff(d.Attempts, firstRetry, longestRetry))
		}
		if d.State != cairn.DeliverySucceeded && failing.IsZero() {
			failing = now
		}
		if err := tx.Webhooks().Attempted(d); err != nil || w.Paused != "" {
			return err
		}
		changed := !failing.Equal(w.FailingSince)
		w.FailingSince = failing
		if d.State != cairn.DeliverySucceeded {
			reason, err := deadReason(tx, w, d, now)
			if err != nil {
				return err
			}
			if reason != "" {
				again = time.Time{}
				if err := s.pauseWebhook(tx, &w, reason); err != nil {
					return err
				}
				changed = true
			}
		}
		if !changed {
			return nil
		}
		return tx.Webhooks().Update(w)
	})
	return again, err
}

// deadReason says why nothing more is sent to a webhook whose delivery has just
// failed; empty if it is given more time.
func deadReason(tx cairn.Tx, w cairn.Webhook, d cairn.Delivery, now time.Time) (string, error) {
	if d.Status == statusGone {
		return "the receiver answered that it is gone (410)", nil
	}
	if now.Sub(w.FailingSince) >= deadAfter {
		return fmt.Sprintf("every delivery failed since %s; the last one: %s", payloadTime(w.FailingSince), outcome(d)), nil
	}
	backlog, err := tx.Webhooks().Backlog(w.Organization, w.ID, maxBacklog)
	var waiting int64
	for _, b := range backlog {
		waiting += b.Waiting
	}
	if waiting > maxBacklog {
		return fmt.Sprintf("deliveries fail, and more than %d wait; the last one: %s", maxBacklog, outcome(d)), err
	}
	return "", err
}

// outcome is what came of an attempt in a few words.
func outcome(d cairn.Delivery) string {
	if d.Error != "" {
		return d.Error
	}
	return "HTTP status " + strconv.Itoa(d.Status)
}

// pauseWebhook ends what waits for a webhook, and lets nothing more be made for
// it. The caller stores the webhook.
func (s *Service) pauseWebhook(tx cairn.Tx, w *cairn.Webhook, reason string) error {
	w.Paused = reason
	return tx.Webhooks().EndWaiting(w.Organization, w.ID, s.now().UTC(), "the webhook was paused: "+reason)
}

// hurry has all that waits for a webhook tried at once. Of those beyond the
// bound each is tried at its own time.
func (s *Service) hurry(tx cairn.Tx, w cairn.Webhook) error {
	backlog, err := tx.Webhooks().Backlog(w.Organization, w.ID, maxHurried)
	if err != nil {
		return err
	}
	for _, b := range backlog {
		if err := tx.Jobs().Enqueue(s.webhookJob(w, b.Repository)); err != nil {
			return err
		}
	}
	return nil
}

const maxHurried = 100

// forgetDeliveries removes what is too old from the log of deliveries.
func (s *Service) forgetDeliveries(ctx context.Context) error {
	before := s.now().Add(-deliveriesLast)
	for {
		var n int
		err := s.metadata.Update(ctx, func(tx cairn.Tx) (err error) {
			n, err = tx.Webhooks().Forget(before, forgottenAtATime)
			return err
		})
		if err != nil || n < forgottenAtATime {
			return err
		}
	}
}
