/**
 * A page for a browser, and what it shows of a model.
 *
 * <p>Internal: may change with any release.
 */
package dev.performer.server.page;
