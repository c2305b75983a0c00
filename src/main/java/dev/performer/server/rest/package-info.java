/**
 * TensorFlow Serving's REST API, as <a
 * href="https://www.tensorflow.org/tfx/serving/api_rest">documented there</a>.
 *
 * <p>Internal: may change with any release.
 */
package dev.performer.server.rest;
