package dev.performer.graph;

import static java.util.Arrays.asList;

import java.util.List;
import java.util.function.UnaryOperator;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;

/**
 * Gradients of linear algebra on the last two dimensions, as Giles (An extended collection of
 * matrix derivative results, 2008) and Seeger et al. (arXiv 1710.08717) derive them.
 */
final class MatrixGradients {
  private static final double TINY = 1e-20; // as in Python, of a square

  private static final String REAL =
      "its gradient is of real matrices only, and not of full decompositions";

  private MatrixGradients() {}

  static void register(GradientRules rules) {
    rules.first(MatrixGradients::cholesky, "Cholesky");
    rules.first(MatrixGradients::inverse, "MatrixInverse");
    rules.first(of -> determinant(of, of.mul(of.dy, of.result)), "MatrixDeterminant");
    rules.first(MatrixGradients::logDeterminant, "LogMatrixDeterminant");
    rules.all(MatrixGradients::solve, "MatrixSolve");
    rules.all(MatrixGradients::triangularSolve, "MatrixTriangularSolve");
    rules.all(MatrixGradients::tridiagonalSolve, "TridiagonalSolve");
    rules.first(MatrixGradients::qr, "Qr");
    rules.first(MatrixGradients::eigen, "SelfAdjointEigV2");
    rules.first(MatrixGradients::singularValues, "Svd");
    rules.all(MatrixGradients::diag, "MatrixDiagV2", "MatrixDiagV3");
    rules.all(MatrixGradients::diagPart, "MatrixDiagPartV2", "MatrixDiagPartV3");
    rules.all(MatrixGradients::setDiag, "MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3");
    rules.first(of -> of.op("MatrixSetDiag", of.zeros(0), of.dy), "MatrixDiagPart");
    rules.first(
        of -> of.op("ConjugateTranspose", of.dy, of.op("InvertPermutation", of.y)),
        "ConjugateTranspose");
  }

  /** ½(G + Gᴴ) of G = L⁻ᴴ·Φ(Lᴴ·dL)·L⁻¹, where Φ takes the lower triangle and half the diagonal. */
  private static Output<?> cholesky(NodeGradient of) {
    Output<?> l = of.result;
    Output<?> product = of.matMul(l, of.dy, true, false);
    Output<?> middle = halfDiagonal(of, of.bandPart(product, -1, 0));
    Output<?> left = lowerSolve(of, l, middle);
    Output<?> both = of.adjoint(lowerSolve(of, l, of.adjoint(left)));
    return of.mul(0.5, of.op("AddV2", both, of.adjoint(both)));
  }

  private static Output<?> lowerSolve(NodeGradient of, Output<?> l, Output<?> right) {
    return of.op("MatrixTriangularSolve", b -> b.setAttr("adjoint", true), l, right);
  }

  private static Output<?> halfDiagonal(NodeGradient of, Output<?> matrix) {
    return of.op("MatrixSetDiag", matrix, of.mul(0.5, of.op("MatrixDiagPart", matrix)));
  }

  /** −X⁻ᴴ·dY·X⁻ᴴ. */
  private static Output<?> inverse(NodeGradient of) {
    boolean isAdjoint = of.flag("adjoint");
    Output<?> inner = of.matMul(of.dy, of.result, isAdjoint, !isAdjoint);
    return of.op("Neg", of.matMul(of.result, inner, !isAdjoint, false));
  }

  private static Output<?> logDeterminant(NodeGradient of) {
    return of.hasGradient(1) ? determinant(of, of.gradient(1)) : of.zeros(0);
  }

  private static Output<?> determinant(NodeGradient of, Output<?> scale) {
    Output<?> inverse = of.op("MatrixInverse", b -> b.setAttr("adjoint", true), of.x);
    Output<?> wide =
        of.op("ExpandDims", of.op("ExpandDims", scale, of.integer(-1)), of.integer(-1));
    return of.mul(wide, inverse);
  }

  private static List<Output<?>> solve(NodeGradient of) {
    boolean isAdjoint = of.flag("adjoint");
    Output<?> right = of.op("MatrixSolve", b -> b.setAttr("adjoint", !isAdjoint), of.x, of.dy);
    return List.of(ofSolved(of, right, isAdjoint), right);
  }

  /** −dB·Yᴴ, or its adjoint. */
  private static Output<?> ofSolved(NodeGradient of, Output<?> right, boolean isAdjoint) {
    Output<?> left = isAdjoint ? of.result : right;
    return of.op("Neg", of.matMul(left, isAdjoint ? right : of.result, false, true));
  }

  private static List<Output<?>> triangularSolve(NodeGradient of) {
    boolean isAdjoint = of.flag("adjoint");
    boolean isLower = of.flag("lower");
    UnaryOperator<OperationBuilder> other =
        b -> b.setAttr("adjoint", !isAdjoint).setAttr("lower", isLower);
    Output<?> right = of.op("MatrixTriangularSolve", other, of.x, of.dy);
    Output<?> matrix = ofSolved(of, right, isAdjoint);
    Output<?> triangle = of.bandPart(matrix, isLower ? -1 : 0, isLower ? 0 : -1);
    return List.of(of.unbroadcastBatch(triangle, of.x), of.unbroadcastBatch(right, of.y));
  }

  /** Diagonals {@code [..., 3, N]}, the upper first, and right sides {@code [..., N, K]}. */
  private static List<Output<?>> tridiagonalSolve(NodeGradient of) {
    var diagonals =
        of.builder("Unpack", of.x).setAttr("num", 3).setAttr("axis", -2).build().outputList(0, 3);
    Output<?> upper = of.roll(diagonals[2], -1, -1);
    Output<?> lower = of.roll(diagonals[0], 1, -1);
    Output<?> transposed = pack(of, upper, diagonals[1], lower);
    Output<?> right =
        of.op(of.type(), of.same("partial_pivoting", "perturb_singular"), transposed, of.dy);
    Output<?> place = of.range(of.op("Prod", of.last(of.x), of.ints(0)));
    Output<?> isInner = of.cast(of.op("Greater", place, of.integer(0)), of.dy); // but the first
    Output<?> ofUpper =
        of.mul(dot(of, right, of.roll(of.result, -1, -2)), of.roll(isInner, -1, -1));
    Output<?> ofLower = of.mul(dot(of, right, of.roll(of.result, 1, -2)), isInner);
    return List.of(of.op("Neg", pack(of, ofUpper, dot(of, right, of.result), ofLower)), right);
  }

  private static Output<?> dot(NodeGradient of, Output<?> a, Output<?> b) {
    return of.op("Sum", of.mul(a, b), of.ints(-1));
  }

  private static Output<?> pack(NodeGradient of, Output<?>... parts) {
    return of.builder("Pack").addInputList(parts).setAttr("axis", -2).build().output(0);
  }

  /** Of A = [X, Y] = Q·[U, V], where X is square or high: V and Y are empty if A is. */
  private static Output<?> qr(NodeGradient of) {
    of.require(!of.flag("full_matrices") && of.isReal(of.x), REAL);
    Output<?> q = of.result;
    Output<?> r = of.output(1);
    Output<?> dr = of.gradientOrZeros(1);
    Output<?> rank = of.op("Prod", of.last(q), of.ints(0));
    Output<?> columns = of.op("Prod", of.last(r), of.ints(0));
    Output<?> first = of.range(rank);
    Output<?> rest = of.op("Range", rank, columns, of.integer(1));
    Output<?> dv = of.gatherLast(dr, rest);
    Output<?> ofX = of.matMul(of.gatherLast(of.x, rest), dv, false, true);
    Output<?> dq = of.op("AddV2", of.gradientOrZeros(0), ofX);
    Output<?> dx = highQr(of, dq, of.gatherLast(r, first), of.gatherLast(dr, first));
    var both =
        of.builder("ConcatV2").addInputList(new Output<?>[] {dx, of.matMul(q, dv, false, false)});
    return both.addInput(of.integer(-1)).build().output(0);
  }

  private static Output<?> highQr(NodeGradient of, Output<?> dq, Output<?> r, Output<?> dr) {
    Output<?> q = of.result;
    Output<?> ofQ = of.matMul(q, dq, true, false);
    Output<?> skew = of.op("AddV2", skew(of, ofQ), skew(of, of.matMul(r, dr, false, true)));
    Output<?> inner = of.op("AddV2", dr, rightSolve(of, of.bandPart(skew, -1, 0), r));
    Output<?> outside = of.op("Sub", dq, of.matMul(q, ofQ, false, false));
    return of.op("AddV2", of.matMul(q, inner, false, false), rightSolve(of, outside, r));
  }

  private static Output<?> skew(NodeGradient of, Output<?> matrix) {
    return of.op("Sub", matrix, of.adjoint(matrix));
  }

  /** X·R⁻ᴴ. */
  private static Output<?> rightSolve(NodeGradient of, Output<?> x, Output<?> r) {
    var upper = of.op("MatrixTriangularSolve", b -> b.setAttr("lower", false), r, of.adjoint(x));
    return of.adjoint(upper);
  }

  /** The lower triangle counts, as Python and the op itself have it. */
  private static Output<?> eigen(NodeGradient of) {
    Output<?> middle = of.op("MatrixDiag", of.gradientOrZeros(0));
    Output<?> vectors;
    if (of.flag("compute_v")) {
      vectors = of.output(1);
      if (of.hasGradient(1)) {
        Output<?> inner = of.matMul(vectors, of.gradient(1), true, false);
        middle = of.op("AddV2", middle, of.mul(gaps(of, of.result, vectors), inner));
      }
    } else {
      vectors = of.builder(of.type(), of.x).setAttr("compute_v", true).build().output(1);
    }
    Output<?> full = of.matMul(vectors, of.matMul(middle, vectors, false, true), false, false);
    return halfDiagonal(of, of.bandPart(of.op("AddV2", full, of.adjoint(full)), -1, 0));
  }

  /** 1/(e_j − e_i), 0 on the diagonal. */
  private static Output<?> gaps(NodeGradient of, Output<?> values, Output<?> like) {
    Output<?> row = of.op("ExpandDims", values, of.integer(-2));
    Output<?> difference = of.op("Sub", row, of.op("ExpandDims", values, of.integer(-1)));
    return reciprocal(of, difference);
  }

  private static Output<?> reciprocal(NodeGradient of, Output<?> x) {
    Output<?> square = of.op("AddV2", of.op("Square", x), of.scalar(TINY, x));
    return of.op("RealDiv", x, square);
  }

  /** Of thin decompositions, also where rows and columns differ; no two values may be equal. */
  private static Output<?> singularValues(NodeGradient of) {
    boolean hasVectors = of.flag("compute_uv");
    boolean isThin = !hasVectors || !of.flag("full_matrices");
    of.require(isThin && of.isReal(of.x), REAL);
    Output<?> ds = of.op("MatrixDiag", of.gradientOrZeros(0));
    if (!hasVectors) {
      var all = of.builder(of.type(), of.x).setAttr("compute_uv", true).build();
      return of.matMul(of.matMul(all.output(1), ds, false, false), all.output(2), false, true);
    }
    Output<?> s = of.result;
    Output<?> u = of.output(1);
    Output<?> v = of.output(2);
    Output<?> du = of.gradientOrZeros(1);
    Output<?> dv = of.gradientOrZeros(2);
    Output<?> gaps = gaps(of, of.op("Square", s), s);
    Output<?> ofU = of.matMul(u, du, true, false);
    Output<?> ofV = of.matMul(v, dv, true, false);
    Output<?> diagonal = of.op("MatrixDiag", s);
    Output<?> left = of.matMul(symmetric(of, of.mul(gaps, ofU)), diagonal, false, false);
    Output<?> right = of.matMul(diagonal, symmetric(of, of.mul(gaps, ofV)), false, false);
    Output<?> inner = of.op("AddV2", ds, of.op("AddV2", left, right));
    Output<?> inverse = of.op("MatrixDiag", reciprocal(of, s));
    Output<?> outsideU = of.op("Sub", du, of.matMul(u, ofU, false, false));
    Output<?> outsideV = of.op("Sub", dv, of.matMul(v, ofV, false, false));
    Output<?> withU =
        of.op(
            "AddV2", of.matMul(u, inner, false, false), of.matMul(outsideU, inverse, false, false));
    Output<?> withV = of.matMul(of.matMul(u, inverse, false, false), outsideV, false, true);
    return of.op("AddV2", of.matMul(withU, v, false, true), withV);
  }

  private static Output<?> symmetric(NodeGradient of, Output<?> matrix) {
    return of.op("AddV2", matrix, of.adjoint(matrix));
  }

  /** Of the diagonals; what they do not take belongs to the value they are padded with. */
  private static List<Output<?>> diag(NodeGradient of) {
    Output<?> diagonal = diagonalOp(of, "MatrixDiagPart", of.dy, of.y, of.scalar(0, of.dy));
    Output<?> padding = of.op("Sub", of.sum(of.dy), of.sum(diagonal));
    return asList(diagonal, null, null, null, padding);
  }

  private static List<Output<?>> diagPart(NodeGradient of) {
    Output<?> matrix = diagonalOp(of, "MatrixSetDiag", of.zeros(0), of.dy, of.y);
    return asList(matrix, null, of.op("Sub", of.sum(of.dy), of.sum(matrix)));
  }

  private static List<Output<?>> setDiag(NodeGradient of) {
    Output<?> cleared = of.op("ZerosLike", of.y);
    if (of.type().equals("MatrixSetDiag")) {
      return List.of(of.op(of.type(), of.dy, cleared), of.op("MatrixDiagPart", of.dy));
    }
    Output<?> k = of.input(2);
    return List.of(
        diagonalOp(of, "MatrixSetDiag", of.dy, cleared, k),
        diagonalOp(of, "MatrixDiagPart", of.dy, k, of.scalar(0, of.dy)));
  }

  /** An op in the version of the node, aligned like it. */
  private static Output<?> diagonalOp(NodeGradient of, String type, Output<?>... inputs) {
    return of.type().endsWith("V2")
        ? of.op(type + "V2", inputs)
        : of.op(type + "V3", of.same("align"), inputs);
  }
}
