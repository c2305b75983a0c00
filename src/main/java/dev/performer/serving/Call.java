package dev.performer.serving;

import dev.performer.data.NpyArray;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** A caller's inputs for a signature, and the outputs to come. */
final class Call {
  private static final Object SERIAL = "calls that change variables";

  final JoinedCalls signature;
  final Object lane; // calls of the same can run together
  final Map<String, NpyArray> inputs;
  final int rows; // 0 if it runs alone whatever happens
  final long arrived = System.nanoTime();
  final CompletableFuture<Map<String, NpyArray>> result = new CompletableFuture<>();

  Call(JoinedCalls signature, Map<String, NpyArray> inputs) {
    this.signature = signature;
    this.inputs = inputs;
    rows = signature.rows(inputs);
    lane = signature.isSerial() ? SERIAL : rows > 0 ? signature.lane(inputs) : signature;
  }

  boolean isJoined() {
    return rows > 0 && signature.isJoined();
  }

  /** Rows that run together with it at most. */
  int mostRows() {
    return signature.mostRows(inputs, rows);
  }
}
