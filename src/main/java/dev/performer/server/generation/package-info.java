/**
 * What the APIs that generate have in common: their parameters, and texts that one call wants
 * together. Knows no API.
 *
 * <p>Internal: may change with any release.
 */
package dev.performer.server.generation;
