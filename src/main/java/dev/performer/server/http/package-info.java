/** HTTP: connections, limits, calls and errors. It knows no API and no model. */
package dev.performer.server.http;
