package dev.performer.graph;

import static java.util.stream.Collectors.groupingBy;
import static java.util.stream.Collectors.toCollection;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_DeleteBuffer;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_GetAllRegisteredKernels;

import com.google.protobuf.InvalidProtocolBufferException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.bytedeco.javacpp.BytePointer;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Session;
import org.tensorflow.TensorFlow;
import org.tensorflow.internal.c_api.TF_Status;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.KernelDef;
import org.tensorflow.proto.KernelList;

/**
 * Which device has a kernel for an op, as the loaded TensorFlow library lists them: one for GPUs
 * lists its GPU kernels on machines without a GPU too.
 */
public final class RegisteredKernels {
  public static final String CPU = "CPU";
  public static final String GPU = "GPU";
  public static final String XLA_CPU = "XLA_CPU_JIT";
  private static final String ANY_DEVICE = "DEFAULT";
  private static final Set<String> ARGUMENTS = // of the compiled function
      Set.of("Placeholder", "VarHandleOp", "_Arg", "_Retval");

  private static final class Xla {
    static final RegisteredKernels KERNELS = compileOnceThenLoad();
  }

  private final Map<String, List<KernelDef>> byOp;

  private RegisteredKernels(KernelList kernels) {
    byOp = kernels.getKernelList().stream().collect(groupingBy(KernelDef::getOp));
  }

  /** What is registered now; XLA's kernels only if something was compiled before. */
  public static RegisteredKernels load() {
    TensorFlow.version(); // loads the native library
    try (TF_Status status = TF_Status.newStatus()) {
      var buffer = TF_GetAllRegisteredKernels(status);
      status.throwExceptionIfNotOK();
      try {
        byte[] bytes = new byte[Math.toIntExact(buffer.length())];
        new BytePointer(buffer.data()).get(bytes);
        return new RegisteredKernels(KernelList.parseFrom(bytes));
      } finally {
        TF_DeleteBuffer(buffer);
      }
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("TensorFlow's list of kernels cannot be read", e);
    }
  }

  /** XLA's kernels included, which register when a function is compiled: the first call does so. */
  public static RegisteredKernels withXla() {
    return Xla.KERNELS;
  }

  private static RegisteredKernels compileOnceThenLoad() {
    TracedFunction.Body body = in -> Map.of("y", in.tf().math.neg(in.tf().constant(0.5f)));
    try (Graph graph = new Graph();
        Session session = new Session(graph);
        TracedFunction one = TracedFunction.trace("xla_start", body)) {
      var call = one.call(Ops.create(graph), "start", List.of(), List.of(), true);
      session.runner().fetch(call.output(0)).run().close();
    }
    return load();
  }

  /** The device types that have a kernel of an op for some type; DEFAULT means any device. */
  public Set<String> devices(String op) {
    var kernels = byOp.getOrDefault(op, List.of()).stream();
    return kernels.map(KernelDef::getDeviceType).collect(toCollection(TreeSet::new));
  }

  public boolean supports(String device, GraphOperation operation) {
    Set<String> suitable = device.startsWith("XLA_") ? Set.of(device) : Set.of(device, ANY_DEVICE);
    return byOp.getOrDefault(operation.type(), List.of()).stream()
        .filter(kernel -> suitable.contains(kernel.getDeviceType()))
        .anyMatch(k -> k.getConstraintList().stream().allMatch(c -> allows(c, operation)));
  }

  private static boolean allows(KernelDef.AttrConstraint constraint, GraphOperation operation) {
    var value = operation.attributes().getAttrValueProto(constraint.getName());
    List<DataType> types =
        value.hasList() ? value.getList().getTypeList() : List.of(value.getType());
    List<DataType> allowed = constraint.getAllowedValues().getList().getTypeList();
    return allowed.isEmpty() || allowed.containsAll(types);
  }

  /** Whether XLA can compile this operation for a processor, calls of functions taken on trust. */
  boolean canCompile(GraphOperation operation) {
    return ARGUMENTS.contains(operation.type())
        || FunctionInliner.CALLS.contains(operation.type())
        || supports(XLA_CPU, operation);
  }
}
