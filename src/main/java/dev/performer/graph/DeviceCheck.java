package dev.performer.graph;

import dev.performer.PerformerException;
import dev.performer.graph.RegisteredKernels.Support;
import java.util.List;
import java.util.function.Function;

/**
 * What devices have for one computation: a signature of a model, or a training step.
 *
 * @param ops that it runs, those of the functions that it uses included
 * @param compiled whether XLA compiled it, on a processor
 * @param openSizes ops whose results have no size before they run, where its inputs have one; known
 *     if it was to be compiled
 * @param refusal why it is not compiled, or cannot be built at all, in one line; null where nothing
 *     stands against it
 */
public record DeviceCheck(
    String name, List<OpKernels> ops, boolean compiled, List<String> openSizes, String refusal) {

  /** Of a computation that was not to be compiled. */
  public static DeviceCheck listed(String name, List<OpKernels> ops) {
    return new DeviceCheck(name, ops, false, List.of(), null);
  }

  /** The same with what came of compiling it. */
  public DeviceCheck tried(List<String> open, Runnable compilation) {
    try {
      compilation.run();
      return new DeviceCheck(name, ops, true, open, null);
    } catch (RuntimeException e) {
      return new DeviceCheck(name, ops, false, open, reason(e));
    }
  }

  /** The same that is not compiled. */
  public DeviceCheck refused(RuntimeException e) {
    return new DeviceCheck(name, ops, false, openSizes, reason(e));
  }

  private static String reason(RuntimeException e) {
    RuntimeException explained = XlaFunction.explain(e);
    return explained instanceof PerformerException
        ? explained.getMessage()
        : "XLA cannot compile it: " + NativeErrors.firstLine(explained);
  }

  /** What a GPU has no kernel for: it runs on the processor, and tensors travel. */
  public List<OpKernels> withoutGpu() {
    return lacking(OpKernels::gpu, Support.NONE);
  }

  /** What a GPU leaves to the processor by its nature: sizes, shapes, and what decides a loop. */
  public List<OpKernels> onHost() {
    return lacking(OpKernels::gpu, Support.HOST);
  }

  /** What XLA has no kernel for, on a processor or a GPU. */
  public List<OpKernels> withoutXla() {
    return ops.stream()
        .filter(op -> op.xlaCpu() == Support.NONE || op.xlaGpu() == Support.NONE)
        .toList();
  }

  private List<OpKernels> lacking(Function<OpKernels, Support> device, Support support) {
    return ops.stream().filter(op -> device.apply(op) == support).toList();
  }

  /** Whether a machine that needs every size when it compiles can run it, such as a TPU. */
  public boolean isStatic() {
    return compiled && openSizes.isEmpty();
  }
}
