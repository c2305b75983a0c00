/**
 * Models at work: sessions that generate text.
 *
 * <p>Public API: changes are in the change log.
 */
package dev.performer.serving;
